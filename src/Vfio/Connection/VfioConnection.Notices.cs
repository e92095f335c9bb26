using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <content>What a driver is told without asking: that the device is wanted back, that it has gone.</content>
public abstract partial class VfioConnection
{
    private readonly CancellationTokenSource _closed = new();
    private readonly CancellationTokenSource _requested = new();
    private readonly Lock _noticeLock = new();
    private IDisposable? _hangUp;
    private InterruptSet? _request;
    private IDisposable? _requestHandler;

    /// <summary>
    /// Cancelled when the connection is over: disposed here, or ended by the other side (the server has gone, or broke the protocol). Whoever awaits an
    /// interrupt is told by an exception. A process-local device and one of the kernel's do not end by themselves: they ask first, see <see cref="ReleaseRequested"/>.
    /// </summary>
    public CancellationToken ConnectionClosed
    {
        get
        {
            WatchHangUp();
            return _closed.Token;
        }
    }

    /// <summary>
    /// Cancelled when the other side wants the device back: it is being unregistered, unbound or unplugged, which waits until this connection is disposed
    /// (the REQ interrupt, raised again every ten seconds). Never, for a device that cannot tell.
    /// </summary>
    /// <remarks>The first call turns the interrupt on; a driver that takes <see cref="PciInterrupt.Request"/> itself takes it from here.</remarks>
    public CancellationToken ReleaseRequested
    {
        get
        {
            lock (_noticeLock)
            {
                if (_request is null && !_closed.IsCancellationRequested
                    && (int)PciInterrupt.Request < _irqs.Length && _irqs[(int)PciInterrupt.Request].Count > 0)
                {
                    _request = EnableInterrupts(PciInterrupt.Request);
                    _requestHandler = _request[0].Register(_requested.Cancel);
                }
            }

            return _requested.Token;
        }
    }

    /// <summary>The descriptor that hangs up when the other side goes away; null when nothing does.</summary>
    protected virtual FileDescriptor? HangUpDescriptor => null;

    private void WatchHangUp()
    {
        lock (_noticeLock)
        {
            if (_hangUp is null && !_closed.IsCancellationRequested && HangUpDescriptor is { } descriptor
                && EventLoop.TryRegister(descriptor, EventLoopEvents.PeerClosed, _ => OnHangUp(), out IDisposable? registration) == Errno.None)
            {
                _hangUp = registration;
            }
        }
    }

    private void OnHangUp()
    {
        lock (_noticeLock)
        {
            _hangUp?.Dispose();
        }

        _closed.Cancel();
    }

    /// <summary>Before the device is let go, so that its interrupt can still be turned off. Runs on any thread, that of a notice's own handler too.</summary>
    private void EndNotices()
    {
        IDisposable? hangUp;
        IDisposable? handler;
        InterruptSet? request;
        lock (_noticeLock)
        {
            (hangUp, _hangUp) = (_hangUp, null);
            (handler, _requestHandler) = (_requestHandler, null);
            request = _request;
        }

        hangUp?.Dispose();
        handler?.Dispose();
        request?.Dispose();
        _closed.Cancel();
    }
}
