using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>From completions back to requests.</content>
internal sealed partial class QueuePair
{
    private const int DwordsOfStatus = 3;
    private int _drainers;
    private ushort _head;
    private ushort _rungHead;
    private bool _phase = true;

    /// <summary>Takes the completions that are there, ends their requests and sends what was waiting for slots.</summary>
    /// <returns>How many were taken. 0 when another thread is doing it: it looks once more before it leaves.</returns>
    public int Drain()
    {
        if (!HasCompletion() || Interlocked.Increment(ref _drainers) != 1)
        {
            return 0;
        }

        FinishedRequests finished = default;
        int total = 0;
        int seen;
        do
        {
            seen = Volatile.Read(ref _drainers);
            total += DrainOnce(ref finished);
        }
        while (Interlocked.Add(ref _drainers, -seen) != 0);
        finished.Complete(_owner.RunsInline);
        return total;
    }

    /// <summary>Whether the entry at the head is new. A hint without a lock, for those who look often.</summary>
    private bool HasCompletion()
    {
        // Head and phase are read apart: a wrong answer is one look too many, or one that the drainer at work makes good.
        uint status = Volatile.Read(ref _memory.Completion(Volatile.Read(ref _head))[DwordsOfStatus]);
        return ((status >> 16 & 1) != 0) == Volatile.Read(ref _phase) || Volatile.Read(ref _drainers) != 0;
    }

    private int DrainOnce(ref FinishedRequests finished)
    {
        int count = 0;
        int invalid = 0;
        bool ring;
        bool acknowledge;
        ushort old;
        ushort head;
        lock (_lock)
        {
            if (_frozen || _closed != RequestFailure.None)
            {
                return 0;
            }

            while (count < Depth)
            {
                Span<uint> entry = _memory.Completion(_head);
                uint status = Volatile.Read(ref entry[DwordsOfStatus]);
                if (((status >> 16 & 1) != 0) != _phase)
                {
                    break;
                }

                // The phase tag is written last (Base 2.0 §3.3.3.2.3), so the rest is read after it.
                invalid += TryComplete(entry[0], entry[2], status, ref finished) ? 0 : 1;
                count++;
                if (_head + 1 == Depth)
                {
                    _head = 0;
                    _phase = !_phase;
                }
                else
                {
                    _head++;
                }
            }

            old = _rungHead;
            head = _head;

            // The head tells the device how much room it has, and when to lower or repeat an interrupt. Without interrupts the room alone counts, and a
            // device that fills it has been taken enough from to be told.
            int taken = head >= old ? head - old : head + Depth - old;
            acknowledge = taken > 0 && (Vector is not null || taken >= Depth / 4);
            _rungHead = acknowledge ? head : old;
            ring = Pump(ref finished);
        }

        if (acknowledge)
        {
            Errno error = _doorbells.RingCompletion(Id, old, head);
            if (error != Errno.None)
            {
                _owner.DeviceLost(error);
            }
        }

        Ring(ring);
        for (; invalid > 0; invalid--)
        {
            _owner.InvalidCompletion();
        }

        return count;
    }

    /// <summary>Ends the command of a completion. Caller holds the lock.</summary>
    /// <returns>False when there is no such command.</returns>
    private bool TryComplete(uint result, uint queue, uint status, ref FinishedRequests finished)
    {
        ushort id = (ushort)status;
        int slot = id & ((1 << _slotBits) - 1);
        if (queue >> 16 != Id || slot >= _slots.Length || _slots[slot].Request is null || CommandId(slot) != id)
        {
            return false;
        }

        NvmeRequest request = Release(slot);
        request.Result = result;
        NvmeStatus ended = new((ushort)(status >> 17));
        if (!ended.IsSuccess)
        {
            request.Fail(RequestFailure.Status, ended);
        }

        if (request.IsFinished)
        {
            finished.Add(request);
        }

        return true;
    }
}
