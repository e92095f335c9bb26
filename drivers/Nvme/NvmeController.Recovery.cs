using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>Time limits, resets and failure.</content>
public sealed partial class NvmeController : IQueueOwner
{
    private const int TicksOfTimeout = 8;
    private const int AbortsAtOnce = 4;
    private static readonly TimeSpan s_longestTick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_shortestTick = TimeSpan.FromMilliseconds(5);
    private ITimer? _watchdog;
    private Task? _resetTask;
    private string? _failureReason;
    private int _tick;
    private int _tickLimit;
    private int _ticking;
    private int _abortsInFlight;
    private long _aborts;
    private long _resets;
    private long _replays;
    private long _invalidCompletions;

    /// <inheritdoc/>
    int IQueueOwner.Tick => Volatile.Read(ref _tick);

    /// <inheritdoc/>
    bool IQueueOwner.RunsInline => _options.RunContinuationsInline;

    /// <inheritdoc/>
    string? IQueueOwner.FailureReason => _failureReason;

    /// <inheritdoc/>
    void IQueueOwner.CommandSent() => WakePoller();

    /// <inheritdoc/>
    void IQueueOwner.DeviceLost(Errno error)
    {
        if (_state == NvmeControllerState.Live)
        {
            StartReset($"it cannot be reached ({error})");
        }
        else
        {
            // Whoever brings it up or lets it go need not wait.
            _queues[0].FailLate(0, int.MinValue);
        }
    }

    /// <inheritdoc/>
    void IQueueOwner.InvalidCompletion()
    {
        // At powers of two, so that a device cannot fill the log.
        long count = Interlocked.Increment(ref _invalidCompletions);
        if ((count & (count - 1)) == 0)
        {
            NvmeLog.InvalidCompletions(_options.Logger, Address, count);
        }
    }

    /// <summary>Resets the controller (CC.EN), in the middle of whatever is under way: see the remarks on the class for what becomes of it.</summary>
    /// <returns>A task that completes when the controller takes commands again.</returns>
    /// <exception cref="VfioException">It did not come back: it failed.</exception>
    /// <exception cref="ObjectDisposedException">The controller was disposed.</exception>
    public Task ResetAsync() => RequestReset("the caller asked for it");

    private void StartWatchdog()
    {
        TimeSpan period = _options.CommandTimeout / TicksOfTimeout;
        period = period > s_longestTick ? s_longestTick : period < s_shortestTick ? s_shortestTick : period;

        // One more: a command may be sent just before a tick.
        _tickLimit = (int)Math.Ceiling(_options.CommandTimeout / period) + 1;
        _watchdog = _options.TimeProvider.CreateTimer(static state => ((NvmeController)state!).OnTick(), this, period, period);
    }

    private void OnTick()
    {
        int now = Interlocked.Increment(ref _tick);
        if (Interlocked.Exchange(ref _ticking, 1) != 0)
        {
            return;
        }

        try
        {
            if (_state == NvmeControllerState.Live)
            {
                Watch(now);
            }
            else if (_state != NvmeControllerState.Failed)
            {
                // Nobody resets what is being brought up or let go: its commands just fail.
                _ = Poll();
                _queues[0].Drain();
                _queues[0].FailLate(now, _tickLimit);
            }
        }
        finally
        {
            Volatile.Write(ref _ticking, 0);
        }
    }

    private void Watch(int now)
    {
        bool busy = false;
        foreach (QueuePair queue in _queues)
        {
            // Also what an interrupt should have told and did not.
            busy |= queue.InFlight > 0;
            queue.Drain();
        }

        if (!busy)
        {
            return;
        }

        uint status = _registers!.Read32(ControllerRegister.Status);
        if (status == ControllerRegister.Gone || (status & ControllerRegister.StatusFatal) != 0)
        {
            StartReset(status == ControllerRegister.Gone ? "its registers read all ones" : "it reports a fatal status (CSTS.CFS)");
            return;
        }

        Span<ushort> late = stackalloc ushort[AbortsAtOnce];
        foreach (QueuePair queue in _queues)
        {
            if (queue.FindLate(now, _tickLimit, late, out int count) || (queue.Id == 0 && count > 0))
            {
                StartReset($"a command of queue {queue.Id} is not answered");
                return;
            }

            foreach (ushort command in late[..count])
            {
                _ = AbortAsync(queue.Id, command);
            }
        }
    }

    /// <summary>Starts a reset whose outcome shows in the state alone.</summary>
    private void StartReset(string reason)
        => _ = RequestReset(reason).ContinueWith(static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    private Task RequestReset(string reason)
    {
        TaskCompletionSource done;
        lock (_stateLock)
        {
            switch (_state)
            {
                case NvmeControllerState.Resetting:
                    return _resetTask!;
                case NvmeControllerState.Live when _disposed == 0:
                    _state = NvmeControllerState.Resetting;
                    done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    _resetTask = done.Task;
                    break;
                case NvmeControllerState.Failed:
                    return Task.FromException(Refusal(Errno.ENODEV, _failureReason!));
                case NvmeControllerState.Initializing:
                    return Task.FromException(Refusal(Errno.EIO, $"While it was brought up, {reason}."));
                default:
                    return Task.FromException(new ObjectDisposedException(nameof(NvmeController)));
            }
        }

        // At once, and not when a thread of the pool is free: what is in flight now is what the reset meets.
        Interlocked.Increment(ref _resets);
        _ = FollowAsync(ResetNowAsync(reason), done);
        return done.Task;

        static async Task FollowAsync(Task reset, TaskCompletionSource done)
        {
            await reset.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            done.SetFromTask(reset);
        }
    }

    private async Task ResetNowAsync(string reason)
    {
        NvmeLog.Resetting(_options.Logger, Address, reason);
        try
        {
            foreach (QueuePair queue in _queues)
            {
                await queue.FreezeAsync().ConfigureAwait(false);
            }

            await DisableAsync(CancellationToken.None).ConfigureAwait(false);
            int replayed = 0;
            foreach (QueuePair queue in _queues)
            {
                replayed += queue.Restart(_options.MaximumReplays);
            }

            await EnableAsync(CancellationToken.None).ConfigureAwait(false);
            _queues[0].Thaw();
            int granted = await RequestQueuesAsync(QueueCount).ConfigureAwait(false);
            if (granted < QueueCount)
            {
                throw Refusal(Errno.EPROTO, $"It grants {granted} I/O queues after a reset and granted {QueueCount} before.");
            }

            await CreateQueuesAsync(CancellationToken.None).ConfigureAwait(false);
            lock (_stateLock)
            {
                _state = NvmeControllerState.Live;
            }

            foreach (QueuePair queue in _queues.Skip(1))
            {
                queue.Thaw();
            }

            Interlocked.Add(ref _replays, replayed);
            NvmeLog.WasReset(_options.Logger, Address, replayed);
        }
        catch (Exception exception)
        {
            await FailAsync($"{reason}, and the reset did not help: {exception.Message}").ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Gives the controller up: makes sure that it leaves memory alone, then fails everything.</summary>
    private async Task FailAsync(string reason)
    {
        NvmeLog.Failed(_options.Logger, Address, reason);
        _failureReason = $"The controller failed: {reason}";
        foreach (QueuePair queue in _queues)
        {
            await queue.FreezeAsync().ConfigureAwait(false);
        }

        await TryStopAsync().ConfigureAwait(false);
        lock (_stateLock)
        {
            _state = NvmeControllerState.Failed;
        }

        foreach (QueuePair queue in _queues)
        {
            queue.Close(RequestFailure.ControllerFailed);
        }
    }
}
