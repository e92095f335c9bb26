using System.Diagnostics;
using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>The tables of queues, and the loop that executes a queue's commands (NVMe Base 2.0 §3.3).</content>
internal sealed partial class NvmeController
{
    /// <summary>Commands that are fetched at a time.</summary>
    public const int BatchLength = 16;

    /// <summary>A batch of which the next is not for a thread that answers the host: registers would be answered late.</summary>
    private static readonly TimeSpan s_longBatch = TimeSpan.FromMicroseconds(50);

    // Indexed by queue identifier. Changed with the state lock held, read without.
    private readonly SubmissionQueue?[] _submissions;
    private readonly CompletionQueue?[] _completions;

    // Made when an identifier is first used, and kept.
    private readonly NvmeRequest?[] _requests;
    private readonly DeviceWork?[] _works;
    private readonly QueueLanes?[] _lanes;
    private readonly Vfio.Linux.WorkerThreads _laneThreads = new("nvme storage");

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

        queue.Lanes.Await();
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

        CompletionEntry entry = new(request.Result, request.Result1, queue.Head, queue.Id, request.Command.CommandId, status);
        if (request != queue.Request || !queue.Gathers)
        {
            Post(queue, new ReadOnlySpan<CompletionEntry>(in entry));
        }
        else if (queue.Gather(entry, request.Command))
        {
            PostGathered(queue);
        }
    }

    /// <summary>Posts the completion of a command that a lane has executed, and interrupts.</summary>
    public void CompleteOnLane(NvmeRequest request, NvmeStatus status)
    {
        Complete(request, status);
        if (!request.Queue.IsClosed)
        {
            Notify(request.Queue.Completions);
        }
    }

    /// <summary>A queue that has stopped can go on. Any thread.</summary>
    public void GoOn(SubmissionQueue queue)
    {
        if (SharedDoorbells is not null)
        {
            WakePoller();
        }
        else if (!queue.IsClosed)
        {
            _works[queue.Id]!.Schedule();
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

        CompletionEntry entry = new(0, 0, queue.Head, queue.Id, command.CommandId, status);
        if (Post(queue, new ReadOnlySpan<CompletionEntry>(in entry)))
        {
            Notify(queue.Completions);
        }
    }

    private void PostGathered(SubmissionQueue queue)
    {
        ReadOnlySpan<CompletionEntry> entries = queue.TakeGathered();
        if (queue.IsClosed)
        {
            Release(queue.Completions, entries.Length);
        }
        else
        {
            Post(queue, entries);
        }
    }

    /// <returns>Whether the host has them, or has taken the queue back.</returns>
    private bool Post(SubmissionQueue queue, ReadOnlySpan<CompletionEntry> entries)
    {
        if (queue.Completions.Post(entries) != Errno.None && !queue.IsClosed)
        {
            Fail("a completion queue cannot be written");
            return false;
        }

        return true;
    }

    /// <summary>Executes what a queue holds.</summary>
    private void Run(int id, WorkTurn turn)
    {
        if (FindSubmissions((uint)id) is { } queue)
        {
            bool mayBeMore = true;
            lock (queue.Turn)
            {
                if (_shadow is { } shadow)
                {
                    RunWithShadow(queue, shadow, turn);
                }

                while (mayBeMore && !turn.IsPausing && !queue.IsClosed)
                {
                    long started = Stopwatch.GetTimestamp();
                    mayBeMore = RunBatch(queue);
                    queue.NoteBatch(Stopwatch.GetElapsedTime(started) > s_longBatch);
                    if (turn.IsBrief)
                    {
                        break;
                    }
                }
            }

            if (turn.IsPausing)
            {
                // What was not fetched is executed when the controller goes on, here or elsewhere.
                _works[id]!.Schedule();
            }
            else if (turn.IsBrief && mayBeMore && queue.HasCommands && !queue.IsClosed)
            {
                ScheduleCommands(queue);
            }
        }
    }

    /// <summary>Has a queue's commands executed: where its doorbell was rung, when they take no longer than to wake another thread.</summary>
    private void ScheduleCommands(SubmissionQueue queue)
    {
        if (queue.Id == 0 || _mayWait || queue.TakesLong)
        {
            _works[queue.Id]!.Schedule();
        }
        else
        {
            _works[queue.Id]!.ScheduleBrief();
        }
    }

    /// <summary>Executes the next few commands. The queue's turn is held.</summary>
    /// <returns>Whether there may be more.</returns>
    private bool RunBatch(SubmissionQueue queue)
    {
        bool mayWait = _mayWait;
        if (!queue.HasCommands || !IsBusMaster || (mayWait && queue.Lanes.IsWaitedFor))
        {
            return false;
        }

        CompletionQueue completions = queue.Completions;
        NvmeRequest request = queue.Request;
        request.Serve(queue);
        int wanted = Math.Min(BatchLength, queue.CommandCount);
        int reserved = completions.Reserve(wanted);
        if (reserved < wanted && _shadow is { } shadow)
        {
            // The host may have made room; if not, it is to say when it does.
            SyncHead(queue, shadow, asks: reserved == 0);
            reserved += completions.Reserve(wanted - reserved);
        }

        if (reserved == 0)
        {
            return false;
        }

        Span<NvmeCommand> commands = request.Batch;
        int end = 0;
        if (mayWait && queue.TryResume(out int place, out int fetched))
        {
            end = Math.Min(fetched, place + reserved);
        }
        else
        {
            place = 0;
            Errno error = queue.Peek(commands[..reserved], out end);
            if (error != Errno.None)
            {
                Release(completions, reserved);
                if (!queue.IsClosed)
                {
                    Fail("a submission queue cannot be read");
                }

                return false;
            }

            fetched = end;
            if (mayWait)
            {
                queue.BeginBatch(end);
            }
        }

        queue.Gathers = !mayWait && queue.Id != 0;
        bool isAlone = fetched - place == 1;
        for (; place < end && !queue.IsClosed; place++)
        {
            CommandLane? lane = null;
            if (mayWait && IsForLane(queue, commands[place], isAlone))
            {
                lane = queue.Lanes.FindFree();
                if (lane is null)
                {
                    break;
                }
            }

            queue.Advance();
            if (mayWait && !queue.TryStart())
            {
                request.Begin(commands[place]);
                Complete(request, NvmeStatus.AbortRequested);
                reserved--;
            }
            else if ((lane is not null && queue.Lanes.TryStart(lane, queue, commands[place])) || Execute(queue, commands[place]))
            {
                reserved--;
            }
        }

        PostGathered(queue);
        bool isStuck = mayWait && place != fetched && !queue.IsClosed;
        if (mayWait && !isStuck)
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

        // What stays fetched waits for a lane, or for room that the host makes.
        return !isStuck || !queue.Lanes.IsWaitedFor;
    }

    /// <summary>
    /// Whether a command may wait for storage and shall not do so here. Here it does when it is alone: then nothing else of the queue waits for it, and another
    /// thread would only cost time. But not where the thread runs other queues as well, nor for a server that may be gone.
    /// </summary>
    private bool IsForLane(SubmissionQueue queue, in NvmeCommand command, bool isAlone)
    {
        if (queue.Id == 0 || command.Fuse != 0 || queue.HasFirstOfPair)
        {
            return false;
        }

        if (FindNamespace(command.NamespaceId) is not { } ns)
        {
            // Of all namespaces, or of none.
            return command.NamespaceId == uint.MaxValue;
        }

        return ns.MayWait && (!isAlone || _options.Polled || ns.IsRemote || queue.Lanes.AreBusy);
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
        _works[id] ??= _device.CreateWork($"queue {id}", turn => Run(id, turn), outlivesReset: true);
        QueueLanes lanes = _lanes[id] ??= new QueueLanes(this, _laneThreads);
        var queue = new SubmissionQueue(id, size, address, priority, completions, request, lanes);
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

            queue.Lanes.Await();

            // Events are posted by a work of their own.
            _ = queue.Completions.AwaitPost(Timeout.InfiniteTimeSpan);
            lock (StateLock)
            {
                _retiring.Remove(queue);
            }
        }
    }

    /// <summary>There is room again: runs the queues that post there, which the poller does anyway. State lock held.</summary>
    private void ScheduleUsers(CompletionQueue completions)
    {
        WakePoller();
        for (int i = 0; i < _submissions.Length && SharedDoorbells is null; i++)
        {
            if (_submissions[i]?.Completions == completions)
            {
                _works[i]!.Schedule();
            }
        }
    }
}
