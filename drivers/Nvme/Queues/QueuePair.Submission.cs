using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>From requests to commands.</content>
internal sealed partial class QueuePair
{
    private ushort _tail;
    private ushort _rungTail;
    private bool _ringing;

    /// <summary>Carries out a request. Never waits: what finds no free slot is sent when one is free.</summary>
    /// <param name="request">A request of <see cref="Rent"/>, filled in.</param>
    public void Submit(NvmeRequest request)
    {
        FinishedRequests finished = default;
        bool ring = false;
        lock (_lock)
        {
            if (_closed != RequestFailure.None)
            {
                request.Fail(_closed);
                finished.Add(request);
            }
            else
            {
                request.IsPending = true;
                if (_lastPending is null)
                {
                    _firstPending = request;
                }
                else
                {
                    _lastPending.Next = request;
                }

                _lastPending = request;
                ring = Pump(ref finished);
            }
        }

        Ring(ring);
        finished.Complete(_owner.RunsInline);
    }

    /// <summary>Makes commands as long as there are requests and slots. Caller holds the lock.</summary>
    /// <returns>Whether the caller is to ring the doorbell.</returns>
    private bool Pump(ref FinishedRequests finished)
    {
        bool sent = false;
        while (!_frozen && _firstPending is { } request)
        {
            if (request.RemainingBlocks > 0)
            {
                if (_freeCount == 0)
                {
                    break;
                }

                int slot = _free[--_freeCount];
                Assign(ref _slots[slot], request);
                Send(slot);
                sent = true;
            }

            if (request.RemainingBlocks == 0)
            {
                _firstPending = request.Next;
                _lastPending = _firstPending is null ? null : _lastPending;
                request.Next = null;
                request.IsPending = false;
                if (request.Outstanding == 0)
                {
                    finished.Add(request);
                }
            }
        }

        if (!sent || _ringing)
        {
            return false;
        }

        _ringing = true;
        return true;
    }

    /// <summary>Gives a free slot the next part of a request.</summary>
    private static void Assign(ref CommandSlot slot, NvmeRequest request)
    {
        uint blocks = request.Kind == RequestKind.Command ? 1 : (uint)Math.Min(request.RemainingBlocks, request.MaximumBlocks);
        slot.Request = request;
        slot.Block = request.NextBlock;
        slot.Blocks = blocks;
        slot.Iova = request.NextIova;
        slot.Replays = 0;
        request.NextBlock += blocks;
        request.NextIova += (ulong)blocks << request.BlockShift;
        request.RemainingBlocks -= blocks;
        request.Outstanding++;
    }

    /// <summary>Builds a slot's command at the ring's end.</summary>
    private void Send(int index)
    {
        ref CommandSlot slot = ref _slots[index];
        NvmeRequest request = slot.Request!;
        SubmissionEntry entry = request.Template;
        entry.CommandId = CommandId(index);
        switch (request.Kind)
        {
            case RequestKind.Transfer:
                entry.Dword10 = (uint)slot.Block;
                entry.Dword11 = (uint)(slot.Block >> 32);
                entry.Dword12 |= slot.Blocks - 1;
                if (request.HasData)
                {
                    uint length = slot.Blocks << request.BlockShift;
                    if (AlwaysSgl || (UsesSgl && length > 2u << _pageShift))
                    {
                        DataPointer.SetSgl(ref entry, slot.Iova, length);
                    }
                    else
                    {
                        DataPointer.SetPrp(ref entry, slot.Iova, length, _pageShift, _memory.List(index), _memory.ListIova(index));
                    }
                }

                break;
            case RequestKind.Ranges:
                // NVM Command Set 1.0 figure 44: context attributes, length in blocks, first block.
                Span<ulong> range = _memory.List(index);
                range[0] = (ulong)slot.Blocks << 32;
                range[1] = slot.Block;
                entry.DataPointer1 = _memory.ListIova(index);
                break;
        }

        slot.Tick = _owner.Tick;
        slot.AbortSent = false;
        _memory.Submission(_tail) = entry;
        _tail = (ushort)(_tail + 1 == Depth ? 0 : _tail + 1);
    }

    /// <summary>Tells the device of new commands, also of those that others add meanwhile. Not under the lock: an emulated device may work in the doorbell's write.</summary>
    private void Ring(bool ring)
    {
        if (!ring)
        {
            return;
        }

        while (true)
        {
            ushort old;
            ushort tail;
            lock (_lock)
            {
                if (_frozen || _rungTail == _tail)
                {
                    _ringing = false;
                    break;
                }

                old = _rungTail;
                tail = _rungTail = _tail;
            }

            Errno error = _doorbells.RingSubmission(Id, old, tail);
            if (error != Errno.None)
            {
                _owner.DeviceLost(error);
            }
        }

        _owner.CommandSent();
    }
}
