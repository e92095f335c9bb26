using System.Numerics;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>From causes to the user: which vector a cause has, throttling, and messages or the pin (82576 datasheet §7.3). Caller holds the state lock.</summary>
/// <param name="device">The device.</param>
internal sealed class IgbInterrupts(IgbDevice device)
{
    /// <summary>Vectors that the registers know; MSI-X has ten of them.</summary>
    public const int Vectors = 25;
    private const uint Valid = 0x80;
    private const uint Transmitted = 1;
    private const uint Received = 0x80;
    private readonly long[] _lastTold = new long[Vectors];
    private DeviceWork? _throttle;
    private uint _news;
    private bool _level;

    private CauseRegisters Causes => device.Causes;

    public void Attach(DeviceWork throttle) => _throttle = throttle;

    public void Reset()
    {
        Array.Clear(_lastTold);
        _news = 0;
        _level = false;
    }

    /// <summary>Vectors are raised: they are told once, also when software leaves them in EICR.</summary>
    public void Raise(uint vectors)
    {
        Causes.Extended |= vectors;
        _news |= vectors;
    }

    /// <summary>Vectors were let through: those that are pending are told.</summary>
    public void Unmask(uint vectors) => _news |= Causes.Extended & vectors;

    /// <summary>Queues have received or transmitted: a bit for each.</summary>
    public void RaiseQueues(uint received, uint transmitted)
    {
        if ((received | transmitted) == 0)
        {
            return;
        }

        TellFunctions(ref received, transmits: false);
        TellFunctions(ref transmitted, transmits: true);
        uint vectors = 0;
        for (uint rest = received; rest != 0; rest &= rest - 1)
        {
            vectors |= VectorOf(BitOperations.TrailingZeroCount(rest), transmits: false);
        }

        for (uint rest = transmitted; rest != 0; rest &= rest - 1)
        {
            vectors |= VectorOf(BitOperations.TrailingZeroCount(rest), transmits: true);
        }

        Raise(vectors);
        if (!Causes.UsesVectors && (received | transmitted) != 0)
        {
            Causes.Raise((received != 0 ? Received : 0) | (transmitted != 0 ? Transmitted : 0));
        }

        DeliverVectors();
    }

    /// <summary>A cause of ICR is asserted.</summary>
    /// <param name="isNew">Whether it was not there before.</param>
    public void RaiseOther(bool isNew)
    {
        if (Causes.UsesVectors)
        {
            uint entry = Causes.OtherVector >> 8;
            if ((entry & Valid) != 0 && (entry & 0x1F) < Vectors && isNew)
            {
                Raise(1U << (int)(entry & 0x1F));
                DeliverVectors();
            }

            return;
        }

        Update();
        if (isNew)
        {
            Message();
        }
    }

    /// <summary>Tells vectors that are pending and not masked, as soon as their interval allows.</summary>
    public void DeliverVectors()
    {
        if (!Causes.UsesVectors)
        {
            Update();
            if ((_news & Causes.Extended & Causes.ExtendedMask) != 0)
            {
                _news = 0;
                Message();
            }

            return;
        }

        TimeSpan wait = TimeSpan.MaxValue;
        for (uint rest = _news & Causes.Extended & Causes.ExtendedMask & ((1U << Vectors) - 1); rest != 0; rest &= rest - 1)
        {
            int vector = BitOperations.TrailingZeroCount(rest);
            TimeSpan left = Left(vector);
            if (left > TimeSpan.Zero)
            {
                wait = left < wait ? left : wait;
                continue;
            }

            Tell(vector);
        }

        if (wait != TimeSpan.MaxValue)
        {
            _throttle!.Schedule(wait);
        }
    }

    /// <summary>Brings the pin up to date.</summary>
    public void Update()
    {
        bool level = !Causes.UsesVectors && (((Causes.Cause & Causes.Mask) | (Causes.Extended & Causes.ExtendedMask)) != 0);
        if (level != _level)
        {
            _level = level;
            device.Interrupts.SetIntx(level);
        }
    }

    /// <summary>An interval has passed.</summary>
    public void Run(WorkTurn turn)
    {
        lock (device.StateLock)
        {
            if (!turn.IsCancelled)
            {
                DeliverVectors();
            }
        }
    }

    /// <summary>Queues of virtual functions have interrupts of their own.</summary>
    private void TellFunctions(ref uint queues, bool transmits)
    {
        for (uint rest = queues; rest != 0; rest &= rest - 1)
        {
            int queue = BitOperations.TrailingZeroCount(rest);
            if (device.OwnerOf(queue) is { } function)
            {
                queues &= ~(1U << queue);
                function.Registers.RaiseQueue(queue >> 3, transmits);
            }
        }
    }

    private void Message()
    {
        if (device.Interrupts.Mode is InterruptMode.Msi or InterruptMode.Msix)
        {
            device.Interrupts.Signal(0);
        }
    }

    private void Tell(int vector)
    {
        uint bit = 1U << vector;
        device.TellVector(vector);
        if (device.Options.Throttle)
        {
            _lastTold[vector] = device.Now;
        }

        // What the message says need not be read back.
        _news &= ~bit;
        Causes.Extended &= ~(bit & Causes.AutoClear);
        if (Causes.AutoMasks)
        {
            Causes.ExtendedMask &= ~(bit & Causes.ExtendedAutoMask);
        }
    }

    private TimeSpan Left(int vector)
    {
        uint interval = (Causes.Throttle[vector] >> 2) & 0x1FFF;
        return !device.Options.Throttle || interval == 0 || _lastTold[vector] == 0 ? TimeSpan.Zero : TimeSpan.FromMicroseconds(interval) - device.Since(_lastTold[vector]);
    }

    private uint VectorOf(int queue, bool transmits)
    {
        uint entry = Causes.Vectors[queue & 7] >> (((queue & 8) << 1) + (transmits ? 8 : 0));
        return (entry & Valid) != 0 && (entry & 0x1F) < Vectors ? 1U << (int)(entry & 0x1F) : 0;
    }
}
