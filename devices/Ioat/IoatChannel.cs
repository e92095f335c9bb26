using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Ioat;

/// <summary>A channel: follows a chain of descriptors, as many as its count says, and halts at the first error.</summary>
/// <remarks>Members are called with the device's state lock held; the run itself takes it.</remarks>
internal sealed class IoatChannel
{
    /// <summary>How many descriptors are followed before the registers are looked at again, unless one tells its completion.</summary>
    private const int Batch = 32;
    private readonly IoatDevice _device;
    private readonly int _index;
    private readonly byte[] _buffer;
    private DeviceWork? _work;

    /// <summary>The descriptor to be followed next.</summary>
    private ulong _next;

    /// <summary>How many of the count were followed.</summary>
    private ushort _followed;

    /// <summary>The chain was begun anew and nothing of it was followed.</summary>
    private bool _isFresh;

    private bool _isRunning;

    /// <summary>An interrupt came while the channel's was not armed.</summary>
    private bool _isPending;

    public IoatChannel(IoatDevice device, int index)
    {
        _device = device;
        _index = index;
        _buffer = new byte[Math.Min(device.Options.LongestTransfer, 64 * 1024)];
        Registers = new ChannelRegisters(this);
    }

    public ChannelRegisters Registers { get; }

    private bool HasWork => _followed != Registers.Count;

    public void Attach(DeviceWork work) => _work = work;

    /// <summary>The registers have been reset.</summary>
    public void OnReset()
    {
        _next = 0;
        _followed = 0;
        _isFresh = false;
        _isPending = false;
    }

    public void Rearm()
    {
        if (Registers.HasInterrupted)
        {
            return;
        }

        _device.Attend(_index, interrupts: false);
        if (_isPending)
        {
            Interrupt();
        }
    }

    /// <summary>Does a command; one that has to wait for a transfer under way stays in the register until it is done.</summary>
    /// <returns>The register's new content.</returns>
    public byte Command(ChannelCommands command, ChannelCommands waiting)
    {
        if ((command & ChannelCommands.Reset) != 0)
        {
            if (_isRunning)
            {
                return (byte)ChannelCommands.Reset;
            }

            Reset();
            return 0;
        }

        if ((waiting & ChannelCommands.Reset) != 0)
        {
            return (byte)waiting;
        }

        if ((command & ChannelCommands.Suspend) != 0)
        {
            if (_isRunning)
            {
                return (byte)ChannelCommands.Suspend;
            }

            if (Registers.State != ChannelState.Halted)
            {
                Registers.State = ChannelState.Suspended;
            }

            return 0;
        }

        if ((command & ChannelCommands.Resume) != 0 && (Registers.State == ChannelState.Suspended || (waiting & ChannelCommands.Suspend) != 0))
        {
            Registers.State = HasWork || _isRunning ? ChannelState.Active : ChannelState.Done;
            Go();
            return 0;
        }

        return (byte)waiting;
    }

    /// <summary>The chain address was written, whole or in halves: the count begins at zero, and a channel that was reset waits for it, armed.</summary>
    public void StartChain()
    {
        if (_isRunning)
        {
            return;
        }

        _next = Registers.Chain;
        _followed = 0;
        Registers.Count = 0;
        _isFresh = true;
        if (Registers.State == ChannelState.Halted && Registers.Error == 0)
        {
            Registers.State = ChannelState.Armed;
        }
    }

    /// <summary>The count was written.</summary>
    public void Kick()
    {
        if (!HasWork)
        {
            return;
        }

        if (_isFresh || Registers.State is ChannelState.Done or ChannelState.Armed)
        {
            _isFresh = false;
            Registers.State = ChannelState.Active;
        }

        Go();
    }

    /// <summary>Follows descriptors until there are no more, a command comes, or an error halts the channel.</summary>
    public void Run(WorkTurn turn)
    {
        lock (_device.StateLock)
        {
            if (turn.IsCancelled || Registers.State != ChannelState.Active)
            {
                return;
            }

            _isRunning = true;
        }

        bool goesOn = true;
        while (goesOn)
        {
            goesOn = Step(turn);
        }
    }

    public void Save(DeviceStateWriter writer)
    {
        writer.WriteUInt64(_next);
        writer.WriteUInt16(_followed);
        writer.WriteBoolean(_isFresh);
        writer.WriteBoolean(_isPending);
    }

    public void Restore(ref DeviceStateReader reader)
    {
        _next = reader.ReadUInt64();
        _followed = reader.ReadUInt16();
        _isFresh = reader.ReadBoolean();
        _isPending = reader.ReadBoolean();
    }

    /// <summary>The device was reset or goes on: what a run of before thinks is void.</summary>
    public void Forget() => _isRunning = false;

    /// <summary>Tells a restored interrupt again.</summary>
    public void TellAgain()
    {
        if (Registers.HasInterrupted)
        {
            _device.Message(_index);
        }
    }

    /// <summary>Follows a few descriptors and shows how far it came.</summary>
    /// <returns>Whether there is more to do in this run.</returns>
    private bool Step(WorkTurn turn)
    {
        ulong address;
        ulong completion;
        int left;
        lock (_device.StateLock)
        {
            if (turn.IsCancelled)
            {
                // The reset that cancelled this run has set everything, also that nothing runs.
                return false;
            }

            if (EndsHere(turn))
            {
                _isRunning = false;
                return false;
            }

            address = _next;
            completion = Registers.Completion;
            left = (ushort)(Registers.Count - _followed);
        }

        // Without the lock: transfers may have to wait for the user.
        ChannelErrors error = ChannelErrors.None;
        ulong done = 0;
        int count = 0;
        bool tells = false;
        bool interrupts = false;
        while (error == ChannelErrors.None && count < Math.Min(left, Batch) && !tells && !interrupts)
        {
            error = Follow(address, out IoatDescriptor descriptor);
            if (error == ChannelErrors.None)
            {
                done = address;
                address = descriptor.Next;
                tells = descriptor.WritesCompletion;
                interrupts = descriptor.Interrupts;
                count++;
            }
        }

        if (tells)
        {
            error |= Complete(completion, done, left == count ? ChannelState.Done : ChannelState.Active);
        }

        lock (_device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return false;
            }

            if (count != 0)
            {
                _next = address;
                _followed += (ushort)count;
                Registers.Completed = done >> 6;
            }

            if (error == ChannelErrors.None)
            {
                // The state is shown before software is told.
                if (!HasWork && Registers.Commands == 0)
                {
                    Registers.State = ChannelState.Done;
                    _isRunning = false;
                }

                if (interrupts)
                {
                    Interrupt();
                }

                return _isRunning;
            }
        }

        Halt(turn, error, completion);
        return false;
    }

    /// <summary>Whether a command, or the device's pause, ends the run between two descriptors.</summary>
    private bool EndsHere(WorkTurn turn)
    {
        var command = (ChannelCommands)Registers.Commands;
        if ((command & ChannelCommands.Reset) != 0)
        {
            Reset();
            return true;
        }

        if ((command & ChannelCommands.Suspend) != 0)
        {
            Registers.Commands = 0;
            Registers.State = ChannelState.Suspended;
            return true;
        }

        if (!HasWork)
        {
            Registers.State = ChannelState.Done;
            return true;
        }

        if (turn.IsPausing)
        {
            _work!.Schedule();
            return true;
        }

        return false;
    }

    private void Halt(WorkTurn turn, ChannelErrors error, ulong completion)
    {
        bool tells;
        ulong done;
        lock (_device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            Registers.Error |= (uint)error;
            tells = Registers.CompletesErrors && (error & ChannelErrors.CompletionAddress) == 0;
            done = Registers.Completed << 6;
            _device.LogHalt(_index, error, _next);
        }

        if (tells)
        {
            _ = Complete(completion, done, ChannelState.Halted);
        }

        lock (_device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            _isRunning = false;
            if (((ChannelCommands)Registers.Commands & ChannelCommands.Reset) != 0)
            {
                Reset();
                return;
            }

            Registers.Commands = 0;
            Registers.State = ChannelState.Halted;
            if (Registers.InterruptsOnErrors && ((uint)error & ~Registers.ErrorMask) != 0)
            {
                Interrupt();
            }
        }
    }

    private void Go()
    {
        if (Registers.State == ChannelState.Active && !_isRunning && HasWork)
        {
            _work!.Schedule();
        }
    }

    /// <summary>A channel reset: everything but the addresses.</summary>
    private void Reset()
    {
        Registers.Commands = 0;
        Registers.Error = 0;
        Registers.Count = 0;
        Registers.Status = 0;
        Registers.State = ChannelState.Halted;
        Registers.HasInterrupted = false;
        OnReset();
        _device.Attend(_index, interrupts: false);
    }

    private void Interrupt()
    {
        _isPending = Registers.HasInterrupted;
        if (!_isPending)
        {
            Registers.HasInterrupted = true;
            _device.Message(_index);
            _device.Attend(_index, interrupts: true);
        }
    }

    private ChannelErrors Complete(ulong address, ulong done, ChannelState state)
    {
        if ((address & 7) != 0)
        {
            return ChannelErrors.CompletionAddress;
        }

        ulong value = done | (ulong)state;
        return _device.Dma.Write(address, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in value))) == Errno.None ? ChannelErrors.None : ChannelErrors.CompletionAddress;
    }

    private ChannelErrors Follow(ulong address, out IoatDescriptor descriptor)
    {
        descriptor = default;
        if ((address & (IoatDescriptor.Length - 1)) != 0)
        {
            return address == Registers.Chain ? ChannelErrors.ChainAddress : ChannelErrors.NextDescriptorAddress;
        }

        if (_device.Dma.Read(address, MemoryMarshal.AsBytes(new Span<IoatDescriptor>(ref descriptor))) != Errno.None)
        {
            return ChannelErrors.NextDescriptorAddress;
        }

        if (descriptor.IsNull)
        {
            return ChannelErrors.None;
        }

        if (descriptor.Operation is not (IoatDescriptor.Copy or IoatDescriptor.Fill))
        {
            return ChannelErrors.DescriptorControl;
        }

        if (descriptor.Size == 0 || descriptor.Size > _device.Options.LongestTransfer)
        {
            return ChannelErrors.DescriptorLength;
        }

        return descriptor.Operation == IoatDescriptor.Fill ? Fill(descriptor) : Copy(descriptor);
    }

    private ChannelErrors Copy(in IoatDescriptor descriptor)
    {
        for (uint at = 0; at < descriptor.Size;)
        {
            Span<byte> piece = _buffer.AsSpan(0, (int)Math.Min((uint)_buffer.Length, descriptor.Size - at));
            if (_device.Dma.Read(descriptor.Source + at, piece) != Errno.None)
            {
                return ChannelErrors.ReadData;
            }

            if (_device.Dma.Write(descriptor.Destination + at, piece) != Errno.None)
            {
                return ChannelErrors.WriteData;
            }

            at += (uint)piece.Length;
        }

        return ChannelErrors.None;
    }

    private ChannelErrors Fill(in IoatDescriptor descriptor)
    {
        // The buffer is a multiple of eight bytes, so that each piece begins with the pattern's first byte.
        MemoryMarshal.Cast<byte, ulong>(_buffer.AsSpan()).Fill(descriptor.Source);
        for (uint at = 0; at < descriptor.Size;)
        {
            Span<byte> piece = _buffer.AsSpan(0, (int)Math.Min((uint)_buffer.Length, descriptor.Size - at));
            if (_device.Dma.Write(descriptor.Destination + at, piece) != Errno.None)
            {
                return ChannelErrors.WriteData;
            }

            at += (uint)piece.Length;
        }

        return ChannelErrors.None;
    }
}
