using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>
/// A UNIX socket on which the backend listens. One client at a time is the other end of the line; the next one waits until the
/// guest has read all that the one before has sent. Without a client the modem lines are down and the guest's bytes wait.
/// </summary>
/// <remarks>Its lock is taken under the device's state lock and never held while calling out.</remarks>
public sealed class UnixSocketBackend : ISerialBackend
{
    private const EventLoopEvents EdgeTriggered = EventLoopEvents.Read | EventLoopEvents.Write | EventLoopEvents.PeerClosed | unchecked((EventLoopEvents)(1U << 31));
    private readonly Lock _lock = new();
    private readonly string _path;
    private readonly UnixSocket _listener;
    private EventLoop? _loop;
    private Action? _changed;
    private IDisposable? _listening;
    private UnixSocket? _client;
    private IDisposable? _clientEvents;
    private bool _disposed;

    /// <summary>Begins to listen.</summary>
    /// <param name="path">Where. The file must not exist.</param>
    /// <exception cref="LinuxException">The path cannot be used.</exception>
    public UnixSocketBackend(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        UnixSocket.TryListen(path, backlog: 4, out UnixSocket? socket).ThrowIfError($"listen for a serial line on {path}");
        _listener = socket!;
        _path = path;
    }

    /// <inheritdoc/>
    public string Address => "unix:" + _path;

    /// <inheritdoc/>
    public bool IsConnected
    {
        get
        {
            lock (_lock)
            {
                return _client is not null;
            }
        }
    }

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed)
    {
        ArgumentNullException.ThrowIfNull(loop);
        _loop = loop;
        _changed = changed;
        _listener.Descriptor.TrySetNonBlocking().ThrowIfError($"make {_path} non-blocking");
        _listening = loop.Register(_listener.Descriptor, EventLoopEvents.Read, _ => Accept());
    }

    /// <inheritdoc/>
    public int Read(Span<byte> buffer)
    {
        UnixSocket? client;
        IDisposable? events;
        lock (_lock)
        {
            if (_client is null || buffer.IsEmpty)
            {
                return 0;
            }

            IoResult result = _client.Descriptor.Read(buffer);
            if (result.Value > 0 || result.Error == Errno.EAGAIN)
            {
                return result.Count;
            }

            // The end of the stream, or a broken one: all bytes were read, the next client may come.
            (client, events) = (_client, _clientEvents);
            (_client, _clientEvents) = (null, null);
        }

        events!.Dispose();
        client.Dispose();
        Listen();
        _changed!();
        return 0;
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            return _client?.Descriptor.Write(bytes).Count ?? 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        IDisposable? listening;
        UnixSocket? client;
        IDisposable? events;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            (listening, client, events) = (_listening, _client, _clientEvents);
            (_listening, _client, _clientEvents) = (null, null, null);
        }

        listening?.Dispose();
        events?.Dispose();
        client?.Dispose();
        _listener.Dispose();
        File.Delete(_path);
    }

    private void Listen()
    {
        lock (_lock)
        {
            // The kernel may refuse for want of memory; the line then stays without a client until it is made anew.
            if (!_disposed && _listening is null)
            {
                _ = _loop!.TryRegister(_listener.Descriptor, EventLoopEvents.Read, _ => Accept(), out _listening);
            }
        }
    }

    /// <summary>On the loop's thread. The listener is not watched while there is a client.</summary>
    private void Accept()
    {
        if (_listener.TryAccept(out UnixSocket? socket) != Errno.None)
        {
            return;
        }

        IDisposable? listening;
        IDisposable? events = null;
        if (socket!.Descriptor.TrySetNonBlocking() != Errno.None
            || _loop!.TryRegister(socket.Descriptor, EdgeTriggered, _ => _changed!(), out events) != Errno.None)
        {
            socket.Dispose();
            return;
        }

        bool isLate;
        lock (_lock)
        {
            isLate = _disposed || _client is not null;
            listening = _listening;
            if (!isLate)
            {
                (_client, _clientEvents, _listening) = (socket, events, null);
            }
        }

        if (isLate)
        {
            events!.Dispose();
            socket.Dispose();
            return;
        }

        listening?.Dispose();
        _changed!();
    }
}
