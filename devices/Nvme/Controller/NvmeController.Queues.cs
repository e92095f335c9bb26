using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>The tables of queues, and the loop that executes a queue's commands (NVMe Base 2.0 §3.3).</content>
internal sealed partial class NvmeController
{
    /// <summary>Commands that are fetched at a time.</summary>
    public const int BatchLength = 16;

    // Indexed by queue identifier. Changed with the state lock held, read without.
    private readonly SubmissionQueue?[] _submissions;
    private readonly CompletionQueue?[] _completions;

    // Made when an identifier is first used, and kept.
    private readonly NvmeRequest?[] _requests;
    private readonly DeviceWork?[] _works;

    /// <summary>Queues that were closed and may still have a command under way. Guarded by the state lock.</summary>
    private readonly List<SubmissionQueue> _retiring = [];

    public SubmissionQueue? FindSubmissions(uint id) => id < (uint)_submissions.Length ? Volatile.Read(ref _submissions[id]) : null;

    public CompletionQueue? FindCompletions(uint id) => id < (uint)_completions.Length ? Volatile.Read(ref _completions[id]) : null;

    /// <summary>Whether I/O queues exist.</summary>
    public bool HasIoQueues => _completions.AsSpan(1).ContainsAnyExcept((CompletionQueue?)null);

    /// <summary>Adds a completion queue.</summary>
    public void AddCompletions(CompletionQueue queue)
    {
        ResetShadow(queue.Id, isHead: true);
        lock (StateLock)
        {
            ClearDoorbell(queue.Id, isHead: true);
            _completions[queue.Id] = queue;
        }
    }

    /// <summary>Adds a submission queue.</summary>
    public void AddSubmissions(int id, uint size, ulong address, int priority, CompletionQueue completions)
    {
        ResetShadow(id, isHead: false);
        lock (StateLock)
        {
            ClearDoorbell(id, isHead: false);
            _ = Install(id, size, address, priority, completions);
        }
    }

    /// <summary>Removes a submission queue. On return nothing of it runs any more.</summary>
    public void RemoveSubmissions(SubmissionQueue queue)
    {
        lock (StateLock)
        {
            queue.Close();
            if (_submissions[queue.Id] == queue)
            {
                _submissions[queue.Id] = null;
                queue.Completions.Users--;
                Retired.Add(queue.Statistics);
                UpdatePolled();
            }
        }

        lock (queue.Turn)
        {
            if (queue.HasFirstOfPair)
            {
                queue.HasFirstOfPair = false;
                Release(queue.Completions, 1);
            }
        }
    }

    /// <summary>Removes a completion queue that no submission queue posts to.</summary>
    /// <returns>False when one does.</returns>
    public bool TryRemoveCompletions(CompletionQueue queue)
    {
        lock (StateLock)
        {
            if (queue.Users != 0)
            {
                return false;
            }

            queue.Close();
            if (_completions[queue.Id] == queue)
            {
                _completions[queue.Id] = null;
            }

            UpdatePin();
            return true;
        }
    }

    /// <summary>Gives back slots for completions that were not used, to others that wait for them. Any thread; not with the lock of a completion queue held.</summary>
    public void Release(CompletionQueue completions, int count)
    {
        if (completions.Release(count))
        {
            lock (StateLock)
            {
                ScheduleUsers(completions);
            }

            if (completions.Id == 0)
            {
                ScheduleEvents();
            }
        }
    }

    /// <summary>Posts the completion of a command, into a slot that was reserved.</summary>
    public void Complete(NvmeRequest request, NvmeStatus status)
    {
        SubmissionQueue queue = request.Queue;
        if (queue.IsClosed)
        {
            // Whatever became of it: the host has taken the queue back.
            Release(queue.Completions, 1);
            return;
        }

        if (status.IsLogged())
        {
            if (status.IsMediaError())
            {
                Interlocked.Increment(ref _mediaErrors);
            }

            Errors.Add(queue.Id, request.Command, status, request.ErrorLocation, request.ErrorBlock);
        }

        if (queue.Completions.Post(request.Result, request.Result1, (ushort)queue.Head, queue.Id, request.Command.CommandId, status) != Errno.None && !queue.IsClosed)
        {
            Fail("a completion queue cannot be written");
        }
    }

    /// <summary>Posts the completion of a command that was kept, on any thread, and interrupts.</summary>
    public void CompleteKept(SubmissionQueue queue, in NvmeCommand command, NvmeStatus status)
    {
        if (queue.IsClosed)
        {
            Release(queue.Completions, 1);
            return;
        }

        if (status.IsLogged())
        {
            Errors.Add(queue.Id, command, status, ushort.MaxValue, block: 0);
        }

        if (queue.Completions.Post(0, 0, (ushort)queue.Head, queue.Id, command.CommandId, status) != Errno.None && !queue.IsClosed)
        {
            Fail("a completion queue cannot be written");
            return;
        }

        Notify(queue.Completions);
    }

    /// <summary>Executes what a queue holds.</summary>
    private void Run(int id, WorkTurn turn)
    {
        if (FindSubmissions((uint)id) is { } queue)
        {
            lock (queue.Turn)
            {
                if (_shadow is { } shadow)
                {
                    RunWithShadow(queue, shadow, turn);
                }

                while (!turn.IsPausing && !queue.IsClosed && RunBatch(queue))
                {
                }
            }

            if (turn.IsPausing)
            {
                // What was not fetched is executed when the controller goes on, here or elsewhere.
                _works[id]!.Schedule();
            }
        }
    }

    /// <summary>Executes the next few commands. The queue's turn is held.</summary>
    /// <returns>Whether there may be more.</returns>
    private bool RunBatch(SubmissionQueue queue)
    {
        if (!queue.HasCommands || !IsBusMaster)
        {
            return false;
        }

        CompletionQueue completions = queue.Completions;
        NvmeRequest request = queue.Request;
        request.Serve(queue);
        int reserved = completions.Reserve(BatchLength);
        if (reserved < BatchLength && _shadow is { } shadow)
        {
            // The host may have made room; if not, it is to say when it does.
            SyncHead(queue, shadow, asks: reserved == 0);
            reserved += completions.Reserve(BatchLength - reserved);
        }

        if (reserved == 0)
        {
            return false;
        }

        Span<NvmeCommand> commands = request.Batch;
        Errno error = queue.Peek(commands[..reserved], out int count);
        if (error != Errno.None)
        {
            Release(completions, reserved);
            if (!queue.IsClosed)
            {
                Fail("a submission queue cannot be read");
            }

            return false;
        }

        bool mayWait = _mayWait;
        if (mayWait)
        {
            queue.BeginBatch(count);
        }

        for (int i = 0; i < count && !queue.IsClosed; i++)
        {
            queue.Advance();
            if (mayWait && !queue.TryStart())
            {
                request.Begin(commands[i]);
                Complete(request, NvmeStatus.AbortRequested);
                reserved--;
            }
            else if (Execute(queue, commands[i]))
            {
                reserved--;
            }
        }

        if (mayWait)
        {
            queue.BeginBatch(0);
        }

        Release(completions, reserved);
        Notify(completions);
        if (_shadow is { } doorbells && _device.Interrupts.Mode != InterruptMode.Msix)
        {
            // The pin, and INTMC, follow the head.
            SyncHead(queue, doorbells, asks: true);
        }

        return true;
    }

    /// <summary>Executes one command.</summary>
    /// <returns>Whether its slot is used: by its completion, or kept for that of the first of a fused pair.</returns>
    private bool Execute(SubmissionQueue queue, in NvmeCommand command)
    {
        NvmeRequest request = queue.Request;
        if (queue.Id != 0 && (command.Fuse != 0 || queue.HasFirstOfPair))
        {
            return FusedCommands.Execute(request, command);
        }

        request.Begin(command);
        NvmeStatus status = queue.Id == 0 ? AdminCommands.Execute(request) : IoCommands.Execute(request);
        if (status is NvmeStatus.Deferred or NvmeStatus.Kept)
        {
            return status == NvmeStatus.Kept;
        }

        Complete(request, status);
        return true;
    }

    /// <summary>Makes a submission queue one that runs. State lock held.</summary>
    private SubmissionQueue Install(int id, uint size, ulong address, int priority, CompletionQueue completions)
    {
        NvmeRequest request = _requests[id] ??= new NvmeRequest(this);
        _works[id] ??= _device.CreateWork($"queue {id}", turn => Run(id, turn));
        var queue = new SubmissionQueue(id, size, address, priority, completions, request);
        completions.Users++;
        Volatile.Write(ref _submissions[id], queue);
        UpdatePolled();
        return queue;
    }

    /// <summary>Takes all queues away from the host. State lock held; what runs ends without a trace.</summary>
    private void CloseQueues()
    {
        for (int i = 0; i < _submissions.Length; i++)
        {
            if (_submissions[i] is { } queue)
            {
                queue.Close();
                queue.Completions.Close();
                Retired.Add(queue.Statistics);
                _retiring.Add(queue);
                _submissions[i] = null;
            }
        }

        foreach (CompletionQueue? queue in _completions)
        {
            queue?.Close();
        }

        Array.Clear(_completions);
        UpdatePolled();
    }

    /// <summary>Waits for commands under way in closed queues. No lock held.</summary>
    private void AwaitClosedQueues()
    {
        while (true)
        {
            SubmissionQueue queue;
            lock (StateLock)
            {
                if (_retiring.Count == 0)
                {
                    return;
                }

                queue = _retiring[^1];
            }

            lock (queue.Turn)
            {
            }

            lock (StateLock)
            {
                _retiring.Remove(queue);
            }
        }
    }

    /// <summary>There is room again: runs the queues that post there, which the poller does anyway. State lock held.</summary>
    private void ScheduleUsers(CompletionQueue completions)
    {
        for (int i = 0; i < _submissions.Length && SharedDoorbells is null; i++)
        {
            if (_submissions[i]?.Completions == completions)
            {
                _works[i]!.Schedule();
            }
        }
    }
}
