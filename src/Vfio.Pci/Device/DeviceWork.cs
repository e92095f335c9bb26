using System.Diagnostics;

namespace Vfio.Pci;

/// <summary>
/// Something a device does outside its register handlers: DMA, long computations, time-outs. It runs on the thread pool, or on a thread
/// of its own if that was asked for, never concurrently with itself, and costs no thread while idle.
/// </summary>
/// <remarks>
/// <para>
/// Made by <see cref="VfioPciDevice.CreateWork"/>. The callback runs with no lock held: it takes <see cref="VfioPciDevice.StateLock"/>
/// to look at or change device state, and lets go of it around every DMA transfer. A reset or close cancels it: what was scheduled
/// does not start any more, and a run under way sees <see cref="WorkTurn.IsCancelled"/>. The user's reset or close waits for its end, so that
/// nothing of before touches memory afterwards: a run that takes long asks often.
/// </para>
/// <para>All members may be called from any thread, with or without the state lock. Scheduling allocates nothing.</para>
/// </remarks>
public sealed class DeviceWork : IThreadPoolWorkItem, IDisposable
{
    private readonly Lock _gate = new();
    private readonly VfioPciDevice _device;
    private readonly Action<WorkTurn> _run;
    private readonly bool _longRunning;
    private readonly ManualResetEventSlim _idle = new(initialState: true);
    private ITimer? _timer;
    private TimeSpan? _left;
    private long _armedAt;
    private TimeSpan _delay;
    private int _generation;
    private int _queuedGeneration;
    private int _timerGeneration;
    private int _runGeneration;
    private int _runningThread;
    private bool _queued;
    private bool _brief;
    private bool _handedOver;
    private bool _armed;
    private bool _paused;
    private bool _running;
    private bool _disposed;

    internal DeviceWork(VfioPciDevice device, string name, Action<WorkTurn> run, bool longRunning)
    {
        _device = device;
        Name = name;
        _run = run;
        _longRunning = longRunning;
    }

    /// <summary>The work's name in logs.</summary>
    public string Name { get; }

    /// <summary>Whether a run is under way or about to start.</summary>
    public bool IsBusy
    {
        get
        {
            lock (_gate)
            {
                return _running || (_queued && _queuedGeneration == _generation);
            }
        }
    }

    /// <summary>Whether a reset does not wait for it.</summary>
    internal bool OutlivesReset { get; init; }

    internal int Generation => Volatile.Read(ref _generation);

    /// <summary>Whether no run is to begin, and one under way is to end soon.</summary>
    internal bool IsPausing => Volatile.Read(ref _paused);

    /// <summary>Asks for a run. Asking again before it starts changes nothing; asking while it runs makes it run once more.</summary>
    public void Schedule()
    {
        lock (_gate)
        {
            ScheduleLocked(brief: false);
        }
    }

    /// <summary>
    /// Asks for a run that takes microseconds: where a thread answers the user (<see cref="AnsweringThread"/>) it runs there, once the user is answered, and
    /// requests wait for its end; elsewhere as <see cref="Schedule()"/>.
    /// </summary>
    public void ScheduleBrief()
    {
        lock (_gate)
        {
            ScheduleLocked(brief: true);
        }
    }

    /// <summary>Asks for a run after a delay by the host's clock; a later call replaces the delay.</summary>
    /// <param name="delay">The delay; zero or less for at once.</param>
    public void Schedule(TimeSpan delay)
    {
        lock (_gate)
        {
            if (delay <= TimeSpan.Zero)
            {
                ScheduleLocked(brief: false);
                return;
            }

            if (_disposed)
            {
                return;
            }

            _timerGeneration = _generation;
            if (_paused)
            {
                _left = delay;
                return;
            }

            Arm(delay);
        }
    }

    /// <summary>Forgets what was scheduled and marks a run under way as cancelled. Does not wait.</summary>
    public void Cancel()
    {
        lock (_gate)
        {
            _generation++;
            Disarm();
        }
    }

    /// <summary>Stops the work for good. Does not wait for a run under way. Idempotent; the device does this when it is released.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _generation++;
            _timer?.Dispose();
            _timer = null;
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        WorkTurn turn;
        lock (_gate)
        {
            _handedOver = false;
            if (_queuedGeneration != _generation || _paused)
            {
                // What is paused stays asked for.
                _queued &= _queuedGeneration == _generation;
                _idle.Set();
                return;
            }

            _queued = false;

            _running = true;
            _runGeneration = _generation;
            _runningThread = Environment.CurrentManagedThreadId;
            turn = new WorkTurn(this, _generation);
        }

        try
        {
            _run(turn);
        }
#pragma warning disable CA1031 // The author's mistake must not end the process that serves other devices; it is logged with its stack.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _device.ReportWorkFailure(Name, exception);
        }

        lock (_gate)
        {
            _running = false;
            _runningThread = 0;
            _queued &= _queuedGeneration == _generation;
            if (_queued && !_paused)
            {
                Queue();
            }
            else
            {
                _idle.Set();
            }
        }
    }

    /// <summary>Waits until nothing runs. Called without any lock held, after <see cref="Cancel"/>.</summary>
    /// <returns>False after the time-out.</returns>
    internal bool Drain(TimeSpan limit)
    {
        lock (_gate)
        {
            // A callback that closes its own device cannot be waited for.
            if (_runningThread == Environment.CurrentManagedThreadId)
            {
                return true;
            }
        }

        if (AnsweringThread.TryTake(this))
        {
            // Left to the very thread that waits. It finds that nothing is to be done.
            ((IThreadPoolWorkItem)this).Execute();
        }

        return Await(static work => work._idle.IsSet, limit);
    }

    /// <summary>Waits for the end of a run that was cancelled; what was asked for since goes on. Called without any lock held, after <see cref="Cancel"/>.</summary>
    /// <returns>False after the time-out.</returns>
    internal bool AwaitCancelled(TimeSpan limit) => Await(static work => !work.IsRunningCancelled, limit);

    /// <summary>Begins no run until <see cref="Resume"/>; timers stand still. Does not wait for a run under way (<see cref="Drain"/>).</summary>
    internal void Pause()
    {
        lock (_gate)
        {
            if (!_paused)
            {
                _paused = true;
                if (_armed)
                {
                    TimeSpan left = _delay - _device.Clock.GetElapsedTime(_armedAt);
                    Disarm();
                    _left = left > TimeSpan.Zero ? left : TimeSpan.Zero;
                }
            }
        }
    }

    /// <summary>Goes on with what was asked for before and during the pause.</summary>
    internal void Resume()
    {
        lock (_gate)
        {
            if (!_paused)
            {
                return;
            }

            _paused = false;
            _queued &= _queuedGeneration == _generation;
            if (_left is { } left && _timerGeneration == _generation && !_disposed)
            {
                Arm(left);
            }

            _left = null;
            if (_queued && !_running && !_handedOver)
            {
                _idle.Reset();
                Queue();
            }
        }
    }

    /// <summary>What a pause keeps waiting.</summary>
    /// <param name="left">What is left of a delay; null without one.</param>
    /// <returns>Whether a run is asked for.</returns>
    internal bool GetPending(out TimeSpan? left)
    {
        lock (_gate)
        {
            left = _timerGeneration == _generation ? _left : null;
            return _queued && _queuedGeneration == _generation;
        }
    }

    /// <summary>Whether a run goes on that a reset or close has cancelled, and it is not the caller.</summary>
    private bool IsRunningCancelled
    {
        get
        {
            lock (_gate)
            {
                return _running && _runGeneration != _generation && _runningThread != Environment.CurrentManagedThreadId;
            }
        }
    }

    /// <summary>Waits, and receives meanwhile what a run may wait for when this is the thread that receives it.</summary>
    private bool Await(Func<DeviceWork, bool> hasEnded, TimeSpan limit)
    {
        long begun = Stopwatch.GetTimestamp();
        SpinWait spin = default;
        while (!hasEnded(this))
        {
            if (Stopwatch.GetElapsedTime(begun) > limit)
            {
                return false;
            }

            if (!AnsweringThread.TryHelp())
            {
                spin.SpinOnce();
            }
        }

        return true;
    }

    private void Disarm()
    {
        _armed = false;
        _left = null;
        _timer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void Arm(TimeSpan delay)
    {
        _armed = true;
        _armedAt = _device.Clock.GetTimestamp();
        _delay = delay;
        _timer ??= _device.Clock.CreateTimer(static state => ((DeviceWork)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(delay, Timeout.InfiniteTimeSpan);
    }

    private void ScheduleLocked(bool brief)
    {
        if (_disposed)
        {
            return;
        }

        _queuedGeneration = _generation;
        if (_queued)
        {
            _brief &= brief;
            return;
        }

        _queued = true;
        _brief = brief;
        if (!_paused)
        {
            _idle.Reset();
            if (!_running)
            {
                Queue();
            }
        }
    }

    private void Queue()
    {
        _handedOver = true;
        if (_longRunning)
        {
            // Its own thread: one of the pool would be missing for as long as the run takes.
            new Thread(((IThreadPoolWorkItem)this).Execute) { IsBackground = true, Name = $"{_device.Name} {Name}" }.Start();
        }
        else if (!_brief || !AnsweringThread.TryLeave(this))
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private void OnTimer()
    {
        lock (_gate)
        {
            // A pause may have come between: then what is left of the delay is what counts.
            if (_timerGeneration == _generation && _armed)
            {
                _armed = false;
                ScheduleLocked(brief: false);
            }
        }
    }
}
