using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>Interrupt coalescing (NVMe Base 2.0 §5.27.1.6): an interrupt waits for some completions more, or for some time. Not for the admin queue.</content>
internal sealed partial class NvmeController
{
    private DeviceWork? _coalescer;
    private int _isCoalescing;

    /// <summary>Whether the interrupt for what was posted can wait; the timer runs then.</summary>
    private bool CanWait(CompletionQueue completions)
    {
        uint coalescing = Features.Coalescing;
        uint threshold = coalescing & 0xFF;
        uint time = (coalescing >> 8) & 0xFF;
        if (threshold == 0 || time == 0 || completions.Id == 0 || Features.IsCoalescingDisabled((uint)completions.Vector) || completions.SilentCount > threshold)
        {
            return false;
        }

        if (Interlocked.Exchange(ref _isCoalescing, 1) == 0)
        {
            _coalescer!.Schedule(TimeSpan.FromMicroseconds(100 * time));
        }

        return true;
    }

    /// <summary>The time is over: everything that waits interrupts.</summary>
    private void EndCoalescing()
    {
        // What is posted from now on begins a new time.
        Interlocked.Exchange(ref _isCoalescing, 0);
        for (int i = 1; i < _completions.Length; i++)
        {
            if (FindCompletions((uint)i) is { SilentCount: not 0 } completions)
            {
                Interrupt(completions);
            }
        }
    }
}
