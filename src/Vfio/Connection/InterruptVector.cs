using System.Threading.Tasks.Sources;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>One interrupt of a device: awaited, waited for on a thread, or handled by a callback; one of these at a time.</summary>
/// <remarks>
/// Interrupts that arrive while nobody waits are counted, so that none is lost; a wait takes the whole count. Nothing is allocated a wait.
/// Lock order: the locks of the event loop before <see cref="_lock"/>, which is a leaf.
/// </remarks>
public sealed class InterruptVector : IValueTaskSource<ulong>, IThreadPoolWorkItem, IDisposable
{
    private readonly VfioConnection _connection;
    private readonly Lock _lock = new();
    private ManualResetValueTaskSourceCore<ulong> _source;
    private CancellationTokenRegistration _cancellation;
    private CancellationTokenRegistration _closed;
    private IDisposable? _registration;
    private WaitState _state;
    private ulong _pending;
    private Exception? _failure;
    private bool _disposed;

    internal InterruptVector(VfioConnection connection)
    {
        _connection = connection;
    }

    private enum WaitState
    {
        /// <summary>Nobody waits.</summary>
        Idle,

        /// <summary>Somebody waits.</summary>
        Waiting,

        /// <summary>The wait has ended; whoever waited has not seen it yet.</summary>
        Ended,
    }

    /// <summary>The eventfd that the device signals.</summary>
    public EventFd EventFd { get; } = new();

    /// <summary>Waits for the interrupt without occupying a thread.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>How many came since the last wait, at least 1. To be awaited once.</returns>
    /// <exception cref="InvalidOperationException">Somebody else is waiting for this vector, or a callback has it.</exception>
    /// <exception cref="VfioException">From the task, ENOTCONN: the connection is over.</exception>
    public ValueTask<ulong> WaitAsync(CancellationToken cancellationToken = default)
    {
        CancellationToken connectionClosed = _connection.ConnectionClosed;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_state != WaitState.Idle)
            {
                throw new InvalidOperationException("The interrupt is being awaited already; one waiter a vector.");
            }

            if (_pending == 0 && cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<ulong>(cancellationToken);
            }
        }

        // Outside of the lock: the loop's callback takes it.
        if (!connectionClosed.IsCancellationRequested)
        {
            Watch(connectionClosed);
        }

        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_pending > 0)
            {
                ulong count = _pending;
                _pending = 0;
                return ValueTask.FromResult(count);
            }

            if (connectionClosed.IsCancellationRequested)
            {
                return ValueTask.FromException<ulong>(ConnectionIsOver());
            }

            _source.Reset();
            _state = WaitState.Waiting;
            _cancellation = cancellationToken.UnsafeRegister(static (vector, token) => ((InterruptVector)vector!).Cancel(token), this);
            return new ValueTask<ulong>(this, _source.Version);
        }
    }

    /// <summary>Waits for the interrupt on this thread. Not to be mixed with <see cref="WaitAsync"/> or <see cref="Register"/>.</summary>
    /// <param name="timeout">How long to wait at most.</param>
    /// <returns>True when it came.</returns>
    public bool Wait(TimeSpan timeout) => EventFd.Wait((int)timeout.TotalMilliseconds) && EventFd.TryConsume(out _);

    /// <summary>Has a callback run for the interrupt, on a thread of its own, until the registration is disposed.</summary>
    /// <param name="handler">
    /// The callback. Interrupts that come while it runs are one more call. It must not throw: as on any thread, that ends the process.
    /// </param>
    /// <returns>The registration. After its <c>Dispose</c> has returned, the callback does not run any more, unless it was called from the callback itself.</returns>
    /// <exception cref="InvalidOperationException">The vector is awaited, or has a callback already.</exception>
    public IDisposable Register(Action handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_registration is not null || _state != WaitState.Idle)
            {
                throw new InvalidOperationException("The interrupt is being awaited, or has a callback already.");
            }

            InterruptHandler registration = new(this, handler);
            _registration = registration;
            return registration;
        }
    }

    /// <summary>Ends a wait as cancelled, and a callback, and closes the eventfd.</summary>
    public void Dispose()
    {
        IDisposable? registration;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            registration = _registration;
        }

        registration?.Dispose();
        _closed.Dispose();
        End(new TaskCanceledException("The interrupt was turned off."));
        EventFd.Dispose();
    }

    /// <inheritdoc/>
    ulong IValueTaskSource<ulong>.GetResult(short token)
    {
        _cancellation.Unregister();
        try
        {
            return _source.GetResult(token);
        }
        finally
        {
            lock (_lock)
            {
                _state = WaitState.Idle;
            }
        }
    }

    /// <inheritdoc/>
    ValueTaskSourceStatus IValueTaskSource<ulong>.GetStatus(short token) => _source.GetStatus(token);

    /// <inheritdoc/>
    void IValueTaskSource<ulong>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _source.OnCompleted(continuation, state, token, flags);

    /// <summary>Completes the wait, on a thread of the pool: what comes after it must not run on the event loop.</summary>
    void IThreadPoolWorkItem.Execute()
    {
        if (_failure is { } failure)
        {
            _failure = null;
            _source.SetException(failure);
            return;
        }

        ulong count;
        lock (_lock)
        {
            count = _pending;
            _pending = 0;
        }

        _source.SetResult(count);
    }

    internal void Forget(InterruptHandler handler)
    {
        lock (_lock)
        {
            if (ReferenceEquals(_registration, handler))
            {
                _registration = null;
            }
        }
    }

    private void Watch(CancellationToken connectionClosed)
    {
        if (Volatile.Read(ref _registration) is { } present)
        {
            if (present is InterruptHandler)
            {
                throw new InvalidOperationException("The interrupt has a callback.");
            }

            return;
        }

        IDisposable registration = _connection.EventLoop.Register(EventFd.Descriptor, EventLoopEvents.Read, _ => Signalled());
        _closed = connectionClosed.UnsafeRegister(static vector => ((InterruptVector)vector!).End(((InterruptVector)vector).ConnectionIsOver()), this);
        lock (_lock)
        {
            if (!_disposed)
            {
                _registration = registration;
                return;
            }
        }

        registration.Dispose();
    }

    private void Signalled()
    {
        if (!EventFd.TryConsume(out ulong count))
        {
            return;
        }

        lock (_lock)
        {
            _pending += count;
            if (_state != WaitState.Waiting)
            {
                return;
            }

            _state = WaitState.Ended;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private void Cancel(CancellationToken token) => End(new TaskCanceledException(message: null, innerException: null, token));

    private void End(Exception failure)
    {
        lock (_lock)
        {
            if (_state != WaitState.Waiting)
            {
                return;
            }

            _state = WaitState.Ended;
            _failure = failure;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private VfioException ConnectionIsOver()
        => new(Errno.ENOTCONN, $"wait for an interrupt of {_connection.Address}", "The connection is over: dispose it and connect again.");
}
