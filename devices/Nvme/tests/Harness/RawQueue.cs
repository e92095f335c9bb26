using System.Buffers.Binary;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>A pair of queues in the host's memory, driven by hand.</summary>
internal sealed class RawQueue(NvmeRig rig, int id, int size, DmaBuffer submissions, DmaBuffer completions)
{
    private int _tail;
    private int _head;
    private bool _phase = true;
    private ushort _nextCid;

    public int Id => id;

    public int Size => size;

    public int Tail => _tail;

    public int Head => _head;

    public DmaBuffer Submissions => submissions;

    public DmaBuffer Completions => completions;

    /// <summary>Puts a command into the queue, without ringing.</summary>
    public ushort Put(RawCommand command)
    {
        command.Cid = _nextCid++;
        command.Bytes.CopyTo(submissions.Slice((nuint)(_tail * 64), 64));
        _tail = (_tail + 1) % size;
        return command.Cid;
    }

    /// <summary>Rings the submission doorbell.</summary>
    public void Ring() => rig.Bar.Write32(0x1000 + (8UL * (ulong)id), (uint)_tail);

    public ushort Submit(RawCommand command)
    {
        ushort cid = Put(command);
        Ring();
        return cid;
    }

    /// <summary>Takes the next completion without waiting.</summary>
    public bool TryTake(out RawCompletion completion, bool ring = true)
    {
        Span<byte> entry = completions.Slice((nuint)(_head * 16), 16);
        uint last = Volatile.Read(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<uint>(entry[12..]));
        completion = default;
        if (((last >> 16) & 1) != (_phase ? 1U : 0))
        {
            return false;
        }

        completion = new RawCompletion(
            BinaryPrimitives.ReadUInt32LittleEndian(entry),
            BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]),
            (ushort)last,
            (ushort)(last >> 16));
        _head = (_head + 1) % size;
        _phase ^= _head == 0;
        if (ring)
        {
            RingHead();
        }

        return true;
    }

    /// <summary>Rings the completion doorbell.</summary>
    public void RingHead() => rig.Bar.Write32(0x1004 + (8UL * (ulong)id), (uint)_head);

    /// <summary>Waits for the next completion.</summary>
    public RawCompletion Take(bool ring = true)
    {
        RawCompletion completion = default;
        NvmeRig.WaitFor(() => TryTake(out completion, ring), $"queue {id} has no completion");
        return completion;
    }

    /// <summary>Submits again what lies in the next entries, without ringing.</summary>
    public void Advance(int count) => _tail = (_tail + count) % size;

    /// <summary>Goes on with the completions of another pair, after only the submission queue was made anew.</summary>
    public RawQueue Following(RawQueue other)
    {
        (_head, _phase) = (other._head, other._phase);
        return this;
    }

    /// <summary>The same queue of a controller that took over.</summary>
    public RawQueue On(NvmeRig rig, NvmeRig other)
    {
        Assert.NotSame(rig, other);
        return new RawQueue(rig, id, size, rig.Like(submissions), rig.Like(completions)) { _tail = _tail, _head = _head, _phase = _phase, _nextCid = _nextCid };
    }

    /// <summary>Executes one command.</summary>
    public RawCompletion Execute(RawCommand command)
    {
        ushort cid = Submit(command);
        RawCompletion completion = Take();
        Assert.Equal(cid, completion.Cid);
        return completion;
    }
}
