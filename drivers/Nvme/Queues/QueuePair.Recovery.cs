namespace Vfio.Drivers.Nvme;

/// <content>Time limits, resets and the end.</content>
internal sealed partial class QueuePair
{
    /// <summary>Looks for commands that are late.</summary>
    /// <param name="now">The watchdog's clock.</param>
    /// <param name="limit">Ticks that a command may take.</param>
    /// <param name="late">Receives the identifiers of commands that are late for the first time, to be aborted.</param>
    /// <param name="count">How many.</param>
    /// <returns>Whether one is late that was to be aborted long ago.</returns>
    public bool FindLate(int now, int limit, Span<ushort> late, out int count)
    {
        bool stuck = false;
        count = 0;
        lock (_lock)
        {
            for (int i = 0; i < _slots.Length && _freeCount < _slots.Length && !_frozen; i++)
            {
                ref CommandSlot slot = ref _slots[i];
                if (slot.Request is null || now - slot.Tick < limit)
                {
                    continue;
                }

                if (slot.AbortSent)
                {
                    stuck = true;
                }
                else if (count < late.Length)
                {
                    slot.AbortSent = true;
                    slot.Tick = now;
                    late[count++] = CommandId(i);
                }
            }
        }

        return stuck;
    }

    /// <summary>
    /// Ends requests whose command is late, without the controller's word; the commands keep their slots until the controller is reset. Only for
    /// commands whose memory stays the driver's.
    /// </summary>
    public void FailLate(int now, int limit)
    {
        FinishedRequests finished = default;
        lock (_lock)
        {
            for (int i = 0; i < _slots.Length; i++)
            {
                ref CommandSlot slot = ref _slots[i];
                if (slot.Request is { } request && request.Failure == RequestFailure.None && now - slot.Tick >= limit)
                {
                    // Nobody is left to be told of the command: a request that stands for nobody takes its place.
                    slot.Request = new NvmeRequest(this) { Outstanding = 1, IsPending = true };
                    request.Outstanding--;
                    request.Fail(RequestFailure.TimedOut);
                    if (request.IsFinished)
                    {
                        finished.Add(request);
                    }
                }
            }
        }

        finished.Complete(inline: false);
    }

    /// <summary>Stops sending and taking completions; returns when no thread is at the device for this queue any more.</summary>
    /// <returns>A task that completes soon.</returns>
    public async Task FreezeAsync()
    {
        lock (_lock)
        {
            _frozen = true;
        }

        while (true)
        {
            lock (_lock)
            {
                if (!_ringing && Volatile.Read(ref _drainers) == 0)
                {
                    return;
                }
            }

            await Task.Delay(1).ConfigureAwait(false);
        }
    }

    /// <summary>Empties both rings of a frozen queue, for a controller that was disabled.</summary>
    /// <param name="replays">How many resets a command may go through; one more and its request fails.</param>
    /// <returns>How many commands will be sent again by <see cref="Thaw"/>.</returns>
    public int Restart(int replays)
    {
        FinishedRequests finished = default;
        int kept = 0;
        lock (_lock)
        {
            _memory.ClearCompletions();
            _tail = _rungTail = _head = _rungHead = 0;
            _phase = true;
            for (int i = 0; i < _slots.Length; i++)
            {
                ref CommandSlot slot = ref _slots[i];
                if (slot.Request is null)
                {
                    continue;
                }

                if (slot.Request.IsReplayable && slot.Replays < replays)
                {
                    slot.Replays++;
                    slot.Generation++;
                    kept++;
                    continue;
                }

                RequestFailure failure = slot.Request.IsReplayable ? RequestFailure.TimedOut : RequestFailure.Reset;
                NvmeRequest request = Release(i);
                request.Fail(failure);
                if (request.IsFinished)
                {
                    finished.Add(request);
                }
            }
        }

        finished.Complete(inline: false);
        return kept;
    }

    /// <summary>Sends again what was in flight, then what waits, and takes completions.</summary>
    public void Thaw()
    {
        FinishedRequests finished = default;
        bool ring;
        lock (_lock)
        {
            bool replayed = false;
            for (int i = 0; i < _slots.Length; i++)
            {
                if (_slots[i].Request is not null)
                {
                    Send(i);
                    replayed = true;
                }
            }

            _frozen = false;
            ring = Pump(ref finished);
            if (replayed && !_ringing)
            {
                ring = _ringing = true;
            }
        }

        Ring(ring);
        finished.Complete(inline: false);
    }

    /// <summary>Fails everything that is in flight or waiting, and whatever comes. The device must not reach the callers' memory any more.</summary>
    /// <param name="failure">The reason.</param>
    public void Close(RequestFailure failure)
    {
        FinishedRequests finished = default;
        lock (_lock)
        {
            _closed = failure;
            for (int i = 0; i < _slots.Length; i++)
            {
                if (_slots[i].Request is null)
                {
                    continue;
                }

                NvmeRequest request = Release(i);
                request.Fail(failure);
                if (request.IsFinished)
                {
                    finished.Add(request);
                }
            }

            while (_firstPending is { } pending)
            {
                _firstPending = pending.Next;
                pending.IsPending = false;
                pending.Fail(failure);
                finished.Add(pending);
            }

            _lastPending = null;
        }

        finished.Complete(inline: false);
    }
}
