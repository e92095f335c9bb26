using System.Runtime.InteropServices;
using Vfio.Pci;

namespace Vfio.Devices.Dsa;

/// <summary>A dedicated work queue: descriptors wait in it and are executed one after the other, beside those of other work queues.</summary>
/// <remarks>Members are called with the device's state lock held; the run itself takes it.</remarks>
internal sealed class WorkQueue
{
    private readonly DsaDevice _device;
    private readonly DescriptorExecutor _executor;
    private readonly DsaDescriptor[] _waiting = new DsaDescriptor[DsaLimits.TotalQueueSize];
    private DeviceWork? _work;
    private int _head;
    private int _count;
    private bool _isRunning;
    private volatile bool _isAbandoned;
    private WorkTurn _turn;

    public WorkQueue(DsaDevice device, int index)
    {
        _device = device;
        _executor = new DescriptorExecutor(device, this);
        Index = index;
    }

    public int Index { get; }

    /// <summary>Whether no descriptor waits or is being executed.</summary>
    public bool IsIdle => _count == 0 && !_isRunning;

    /// <summary>Whether the descriptor that is being executed is to end as soon as it can, and to tell nothing. Without the lock, by the run.</summary>
    public bool IsAbandoned => _isAbandoned || _turn.IsCancelled;

    public void Attach(DeviceWork work) => _work = work;

    /// <summary>A descriptor was written to a portal.</summary>
    public void Submit(ReadOnlySpan<byte> descriptor)
    {
        DsaRegisters registers = _device.Registers;
        CompletionStatus refused = registers.State != DsaState.Enabled || registers.QueueState[Index] == 0 ? CompletionStatus.QueueDisabled
            : _count + (_isRunning ? 1 : 0) >= Math.Min((int)registers.QueueSize[Index], _waiting.Length) ? CompletionStatus.QueueFull
            : CompletionStatus.None;
        if (refused != CompletionStatus.None)
        {
            _device.Tell(new SoftwareError { Error = refused, Opcode = (DsaOpcode)descriptor[7], BatchIndex = -1 }, Index);
            return;
        }

        _waiting[(_head + _count) % _waiting.Length] = MemoryMarshal.Read<DsaDescriptor>(descriptor);
        _count++;
        if (!_isRunning)
        {
            _work!.Schedule();
        }
    }

    /// <summary>Drops what waits, and abandons what is being executed.</summary>
    public void Drop()
    {
        _count = 0;
        _isAbandoned = _isRunning;
    }

    /// <summary>The device was reset or goes on: what a run of before thinks is void.</summary>
    public void Forget() => _isRunning = false;

    public void Run(WorkTurn turn)
    {
        _turn = turn;
        while (TryTake(turn, out DsaDescriptor descriptor, out ulong longestTransfer, out uint longestBatch))
        {
            Outcome outcome = _executor.Execute(in descriptor, longestTransfer, longestBatch);
            lock (_device.StateLock)
            {
                if (turn.IsCancelled)
                {
                    return;
                }

                if (outcome.Error.Error != CompletionStatus.None)
                {
                    _device.Tell(in outcome.Error, Index);
                }

                for (int vector = 1; vector < DsaLimits.Vectors; vector++)
                {
                    if ((outcome.Interrupts & (1u << vector)) != 0)
                    {
                        _device.Signal(vector);
                    }
                }
            }
        }
    }

    public void Save(DeviceStateWriter writer)
    {
        writer.WriteByte((byte)_count);
        for (int i = 0; i < _count; i++)
        {
            writer.WriteBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<DsaDescriptor>(in _waiting[(_head + i) % _waiting.Length])));
        }
    }

    /// <summary>Takes back what waited.</summary>
    /// <returns>False when it is more than a work queue holds.</returns>
    public bool TryRestore(ref DeviceStateReader reader)
    {
        _head = 0;
        _count = reader.ReadByte();
        if (_count > _waiting.Length)
        {
            _count = 0;
            return false;
        }

        reader.ReadBytes(_count * DsaDescriptor.Length).CopyTo(MemoryMarshal.AsBytes(_waiting.AsSpan(0, _count)));
        return true;
    }

    private bool TryTake(WorkTurn turn, out DsaDescriptor descriptor, out ulong longestTransfer, out uint longestBatch)
    {
        lock (_device.StateLock)
        {
            descriptor = default;
            longestTransfer = 0;
            longestBatch = 0;
            if (turn.IsCancelled)
            {
                return false;
            }

            if (_count == 0 || turn.IsPausing)
            {
                _isRunning = false;
                if (_count > 0)
                {
                    _work!.Schedule();
                }

                _device.Commands.Proceed();
                return false;
            }

            _isRunning = true;
            _isAbandoned = false;
            descriptor = _waiting[_head];
            _head = (_head + 1) % _waiting.Length;
            _count--;
            longestTransfer = 1ul << (int)_device.Registers.QueueTransferShift[Index];
            longestBatch = 1u << (int)_device.Registers.QueueBatchShift[Index];
            return true;
        }
    }
}
