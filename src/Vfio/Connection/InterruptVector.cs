using Vfio.Linux;

namespace Vfio;

/// <summary>One interrupt of a device, to be awaited.</summary>
/// <remarks>Interrupts that arrive while nobody waits are counted, so that none is lost; a wait takes the whole count.</remarks>
public sealed class InterruptVector : IDisposable
{
    private readonly VfioConnection _connection;
    private readonly Lock _lock = new();
    private IDisposable? _registration;
    private TaskCompletionSource<ulong>? _waiter;
    private ulong _pending;
    private bool _disposed;

    internal InterruptVector(VfioConnection connection)
    {
        _connection = connection;
    }

    /// <summary>The eventfd that the device signals.</summary>
    public EventFd EventFd { get; } = new();

    /// <summary>Waits for the interrupt without occupying a thread.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>How many came since the last wait, at least 1.</returns>
    /// <exception cref="InvalidOperationException">Somebody else is waiting for this vector.</exception>
    public async ValueTask<ulong> WaitAsync(CancellationToken cancellationToken = default)
    {
        TaskCompletionSource<ulong> waiter;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_waiter is not null)
            {
                throw new InvalidOperationException("The interrupt is being awaited already; one waiter a vector.");
            }

            _registration ??= _connection.EventLoop.Register(EventFd.Descriptor, EventLoopEvents.Read, _ => Signalled());
            if (_pending > 0)
            {
                ulong count = _pending;
                _pending = 0;
                return count;
            }

            waiter = new TaskCompletionSource<ulong>(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiter = waiter;
        }

        using CancellationTokenRegistration cancel = cancellationToken.UnsafeRegister(
            static (state, token) =>
            {
                (InterruptVector vector, TaskCompletionSource<ulong> source) = ((InterruptVector, TaskCompletionSource<ulong>))state!;
                vector.Cancel(source, token);
            },
            (this, waiter));
        return await waiter.Task.ConfigureAwait(false);
    }

    /// <summary>Waits for the interrupt on this thread. Not to be mixed with <see cref="WaitAsync"/>.</summary>
    /// <param name="timeout">How long to wait at most.</param>
    /// <returns>True when it came.</returns>
    public bool Wait(TimeSpan timeout) => EventFd.Wait((int)timeout.TotalMilliseconds) && EventFd.TryConsume(out _);

    /// <summary>Ends a wait as cancelled and closes the eventfd.</summary>
    public void Dispose()
    {
        TaskCompletionSource<ulong>? waiter;
        IDisposable? registration;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            waiter = _waiter;
            _waiter = null;
            registration = _registration;
        }

        registration?.Dispose();
        waiter?.TrySetCanceled();
        EventFd.Dispose();
    }

    private void Signalled()
    {
        if (!EventFd.TryConsume(out ulong count))
        {
            return;
        }

        TaskCompletionSource<ulong>? waiter;
        lock (_lock)
        {
            waiter = _waiter;
            _waiter = null;
            if (waiter is null)
            {
                _pending += count;
                return;
            }
        }

        waiter.TrySetResult(count);
    }

    private void Cancel(TaskCompletionSource<ulong> waiter, CancellationToken token)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_waiter, waiter))
            {
                return;
            }

            _waiter = null;
        }

        waiter.TrySetCanceled(token);
    }
}
