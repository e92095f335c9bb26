using System.Numerics;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>Interrupts by pin, MSI and MSI-X (NVMe over PCIe 1.0 §3.5). INTMS and INTMC mask the first two.</content>
internal sealed partial class NvmeController
{
    /// <summary>Vectors whose message waits for INTMC. Guarded by the state lock.</summary>
    private uint _messagesPending;

    /// <summary>INTMC was written: messages that waited for it are sent. State lock held.</summary>
    public void InterruptsUnmasked()
    {
        uint messages = _messagesPending & ~Registers.InterruptMask;
        _messagesPending &= Registers.InterruptMask;
        for (; messages != 0; messages &= messages - 1)
        {
            if (_device.Interrupts.UsesMessages)
            {
                _ = _device.Interrupts.Signal(BitOperations.TrailingZeroCount(messages));
            }
        }

        UpdatePin();
    }

    /// <summary>Completions were posted: interrupts once for all of them.</summary>
    public void Notify(CompletionQueue completions)
    {
        if (completions.Interrupts && completions.HasEntries && !CanWait(completions))
        {
            Interrupt(completions);
        }
    }

    /// <summary>The pin follows the queues: asserted while one that is not masked has entries. State lock held.</summary>
    public void UpdatePin()
    {
        bool level = false;
        foreach (CompletionQueue? queue in _completions)
        {
            level |= queue is { Interrupts: true, HasEntries: true } && !IsMasked(queue.Vector);
        }

        _device.Interrupts.SetIntx(level && !_device.Interrupts.UsesMessages);
    }

    /// <summary>Whether the pin is to be looked at when the host takes completions from a queue.</summary>
    private bool MovesPin(CompletionQueue completions) => completions.Interrupts && _device.Interrupts.Mode != InterruptMode.Msix;

    private void Interrupt(CompletionQueue completions)
    {
        completions.Tell();

        if (_device.Interrupts.Mode == InterruptMode.Msix)
        {
            _ = _device.Interrupts.Signal(completions.Vector);
            return;
        }

        lock (StateLock)
        {
            if (!_device.Interrupts.UsesMessages)
            {
                UpdatePin();
            }
            else if (IsMasked(completions.Vector))
            {
                _messagesPending |= 1U << completions.Vector;
            }
            else
            {
                _ = _device.Interrupts.Signal(completions.Vector);
            }
        }
    }

    private bool IsMasked(int vector) => vector < 32 && (Registers.InterruptMask & (1U << vector)) != 0;
}
