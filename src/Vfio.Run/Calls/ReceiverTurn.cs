namespace Vfio.Run;

/// <summary>
/// Which of the serving threads receives the program's calls: one, which serves them itself, so that caches stay warm and nobody is woken. When a call takes long,
/// because it waits for something, another thread takes the turn over.
/// </summary>
/// <remarks>
/// Several threads in one receive are woken in turn, which costs a bare notification again. A watcher looks each millisecond whether the same call is still being served,
/// and sleeps while the program makes none.
/// </remarks>
internal sealed class ReceiverTurn : IDisposable
{
    private const int Serving = 1;
    private const int Passed = 2;
    private const int Step = 4;
    private const int IdleLooks = 50;
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(1);
    private readonly SemaphoreSlim _turn = new(1);
    private readonly ManualResetEventSlim _called = new(initialState: false, spinCount: 0);
    private readonly Action<ReceiverTurn> _grow;

    /// <summary>The number of the call, and whether it is being served and the turn was passed on meanwhile.</summary>
    private long _state;

    private int _waiting;
    private volatile bool _isAsleep;
    private volatile bool _hasEnded;

    /// <summary>Makes it and starts to watch.</summary>
    /// <param name="grow">Starts one more thread; called when a turn is passed on and nobody waits for it.</param>
    public ReceiverTurn(Action<ReceiverTurn> grow)
    {
        _grow = grow;
        new Thread(Watch) { Name = "vfio run watch", IsBackground = true }.Start();
    }

    /// <summary>Waits for the turn.</summary>
    /// <returns>False when there will be no calls any more.</returns>
    public bool Take()
    {
        Interlocked.Increment(ref _waiting);
        _turn.Wait();
        Interlocked.Decrement(ref _waiting);
        if (_hasEnded)
        {
            _turn.Release();
            return false;
        }

        return true;
    }

    /// <summary>A call was received by who has the turn.</summary>
    /// <returns>The call's number, for <see cref="End"/>.</returns>
    public long Begin()
    {
        long call = (Volatile.Read(ref _state) & -Step) + Step;
        Interlocked.Exchange(ref _state, call | Serving);
        if (_isAsleep)
        {
            _called.Set();
        }

        return call;
    }

    /// <summary>The call was served.</summary>
    /// <param name="call">What <see cref="Begin"/> gave.</param>
    /// <returns>Whether the thread has the turn still.</returns>
    public bool End(long call) => Interlocked.CompareExchange(ref _state, call, call | Serving) == (call | Serving);

    /// <summary>There will be no calls any more: everybody who waits is told.</summary>
    public void Stop()
    {
        if (!_hasEnded)
        {
            _hasEnded = true;
            _turn.Release();
            _called.Set();
        }
    }

    public void Dispose() => Stop();

    private void Watch()
    {
        long last = 0;
        int idle = 0;
        while (!_hasEnded)
        {
            long state = Volatile.Read(ref _state);
            bool isSame = state == last;
            last = state;
            if (isSame && (state & (Serving | Passed)) == Serving)
            {
                if (Interlocked.CompareExchange(ref _state, state | Passed, state) == state)
                {
                    if (Volatile.Read(ref _waiting) == 0)
                    {
                        _grow(this);
                    }

                    _turn.Release();
                }
            }
            else if (isSame && ++idle > IdleLooks)
            {
                idle = 0;
                Sleep(state);
            }
            else if (!isSame)
            {
                idle = 0;
            }

            Thread.Sleep(s_look);
        }
    }

    private void Sleep(long state)
    {
        _called.Reset();
        _isAsleep = true;
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _state) == state && !_hasEnded)
        {
            _called.Wait();
        }

        _isAsleep = false;
    }
}
