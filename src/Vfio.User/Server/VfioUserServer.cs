using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>Serves one device of a host to vfio-user clients, one client at a time.</summary>
/// <remarks>
/// The host's event loop accepts and watches clients that do nothing; a busy client has a thread of its own. Dispose disconnects the
/// client and removes the socket; the device stays registered.
/// </remarks>
public sealed partial class VfioUserServer : IAsyncDisposable
{
    private readonly VfioHost _host;
    private readonly VfioUserServerOptions _options;
    private readonly ILogger _logger;
    private readonly UnixSocket? _listener;
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private (ulong Device, ulong Inode)? _socketFile;
    private ServerConnection? _active;
    private TaskCompletionSource? _ended;
    private long _connections;
    private bool _stopped;

    private VfioUserServer(VfioHost host, string deviceName, string? socketPath, UnixSocket? listener, VfioUserServerOptions options)
    {
        _host = host;
        DeviceName = deviceName;
        SocketPath = socketPath;
        _listener = listener;
        _options = options;
        _budget = new SpinBudget(options.BusyPoll);
        _logger = host.Options.LoggerFactory.CreateLogger("Vfio.User.Server");

        // Accepting happens on a loop that serves others: it must not wait when the connection was taken or given up meanwhile.
        _ = listener?.Descriptor.TrySetNonBlocking();

        // Armed once now: the first timer of a process starts a thread, which fails at the very time when this one will be needed.
        _resume = host.TimeProvider.CreateTimer(static state => ((VfioUserServer)state!).ResumeAccepting(), this, TimeSpan.FromHours(1), Timeout.InfiniteTimeSpan);
    }

    /// <summary>The device's name in the host.</summary>
    public string DeviceName { get; }

    /// <summary>Where it listens; null when it was given a descriptor.</summary>
    public string? SocketPath { get; }

    /// <summary>Whether a client has the device now.</summary>
    public bool HasClient
    {
        get
        {
            lock (_lock)
            {
                return _active is not null;
            }
        }
    }

    /// <summary>Why the last client's connection ended.</summary>
    public ConnectionEnd LastEnd { get; private set; }

    /// <summary>Tells what the server and its client do. From any thread, without disturbing them.</summary>
    /// <returns>The figures.</returns>
    public ServerStatistics GetStatistics()
    {
        lock (_lock)
        {
            return _active?.GetStatistics(_connections) ?? new ServerStatistics { Connections = _connections };
        }
    }

    /// <summary>Completes when the server has stopped; one that was given a connected descriptor stops with its client.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Serves a device at a socket path.</summary>
    /// <param name="host">The host.</param>
    /// <param name="deviceName">The device's name there; it must be registered.</param>
    /// <param name="socketPath">The path, at most 107 bytes. A socket that nobody listens on any more is replaced.</param>
    /// <param name="options">How clients are treated; null for the defaults.</param>
    /// <returns>The server, listening. The socket is accessible to its owner only.</returns>
    /// <exception cref="VfioException">There is no such device, or the path cannot be used.</exception>
    public static VfioUserServer Listen(VfioHost host, string deviceName, string socketPath, VfioUserServerOptions? options = null)
    {
        options ??= new VfioUserServerOptions();
        RequireDevice(host, deviceName);
        string operation = $"listen on {socketPath}";
        RemoveStaleSocket(socketPath, operation);
        const int Backlog = 128;
        Errno error = UnixSocket.TryListen(socketPath, Backlog, out UnixSocket? listener);
        VfioException.ThrowIfError(error, operation, error switch
        {
            Errno.ENAMETOOLONG => "A socket path has at most 107 bytes: choose a shorter one.",
            Errno.ENOENT => "The directory does not exist.",
            Errno.EADDRINUSE => "Something is there already: remove it, or choose another path.",
            Errno.EACCES => "The directory cannot be written by this user.",
            _ => null,
        });
#pragma warning disable CA1416 // Linux only, as the whole of it; an attribute would put this warning at every caller.
        File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
#pragma warning restore CA1416
        VfioUserServer server = new(host, deviceName, socketPath, listener, options) { _socketFile = FindSocket(socketPath) };
        server.StartAccepting();
        return server;
    }

    /// <summary>Serves a device on a socket that somebody else made: a listening one, or one that is connected to its only client.</summary>
    /// <param name="host">The host.</param>
    /// <param name="deviceName">The device's name there; it must be registered.</param>
    /// <param name="socket">The socket; the server owns it.</param>
    /// <param name="options">How clients are treated; null for the defaults.</param>
    /// <returns>The server.</returns>
    /// <exception cref="VfioException">There is no such device, or the descriptor is no socket.</exception>
    public static VfioUserServer Serve(VfioHost host, string deviceName, FileDescriptor socket, VfioUserServerOptions? options = null)
    {
        options ??= new VfioUserServerOptions();
        RequireDevice(host, deviceName);
        UnixSocket adopted = new(socket);
        VfioException.ThrowIfError(
            adopted.TryGetListening(out bool listening),
            $"serve {deviceName} on descriptor {socket.Number}",
            "It must be a UNIX stream socket, listening or connected.");
        VfioUserServer server = new(host, deviceName, null, listening ? adopted : null, options);
        if (listening)
        {
            server.StartAccepting();
        }
        else
        {
            server.Start(adopted);
        }

        return server;
    }

    /// <summary>Disconnects the client, stops listening and removes the socket.</summary>
    /// <returns>A task that completes when the client's connection has ended and the device is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        IDisposable? registration;
        UnixSocket? newcomer;
        bool stopped;
        lock (_lock)
        {
            stopped = _stopped;
            _stopped = true;
            registration = _registration;
            _registration = null;
            (newcomer, _newcomer) = (_newcomer, null);
            _resume.Dispose();
            _active?.Shutdown(ConnectionEnd.ServerStopped);
        }

        if (stopped)
        {
            // Another call is at it: this one, too, completes when the device is closed.
            await JoinAsync().ConfigureAwait(false);
            return;
        }

        registration?.Dispose();
        newcomer?.Dispose();

        // Not what somebody else has put there meanwhile.
        if (SocketPath is not null && FindSocket(SocketPath) is { } found && found == _socketFile)
        {
            File.Delete(SocketPath);
        }

        if (SocketPath is not null)
        {
            // Wakes up the last client's thread, should it wait there. A listener that was handed in may be somebody else's as well.
            _listener!.Shutdown();
        }

        _listener?.Dispose();
        await JoinAsync().ConfigureAwait(false);
        _completion.TrySetResult();
    }

    private Task JoinAsync() => _ended?.Task ?? Task.CompletedTask;

    private static void RequireDevice(VfioHost host, string deviceName)
    {
        if (host.FindDevice(deviceName) is null)
        {
            string names = string.Join(", ", host.Devices.Select(static device => device.Name));
            throw new VfioException(Errno.ENODEV, $"serve {deviceName}", names.Length == 0 ? "The host has no devices." : $"The host has {names}.");
        }
    }

    private static void RemoveStaleSocket(string path, string operation)
    {
        if (!File.Exists(path))
        {
            return;
        }

        // Only a socket that refuses connections is left over from a server that died.
        Errno error = UnixSocket.TryConnect(path, out UnixSocket? probe, TimeSpan.FromMilliseconds(1));
        if (error is Errno.None or Errno.EAGAIN)
        {
            probe?.Dispose();
            throw new VfioException(Errno.EADDRINUSE, operation, "Another server listens there: stop it, or choose another path.");
        }

        // Other files refuse connections, too.
        if (error == Errno.ECONNREFUSED && FindSocket(path) is not null)
        {
            File.Delete(path);
        }
    }

    /// <summary>What tells a socket file from others; null when something else, or nothing, is there.</summary>
    private static (ulong Device, ulong Inode)? FindSocket(string path)
    {
        if (FileDescriptor.TryOpen(path, OpenMode.PathOnly | OpenMode.NoFollow, out FileDescriptor? file) != Errno.None)
        {
            return null;
        }

        using (file)
        {
            return file!.TryGetStatus(out FileStatus status) == Errno.None && status.Kind == FileKind.Socket ? (status.Device, status.Inode) : null;
        }
    }

    /// <summary>Makes a connection of a socket and starts it.</summary>
    /// <param name="onThisThread">The caller runs it; otherwise a thread of the host's does.</param>
    /// <returns>The connection; null when it could not be started.</returns>
    private ServerConnection? Start(UnixSocket socket, bool onThisThread = false)
    {
        ServerConnection connection = new(_host, DeviceName, socket, _options, _logger, OnEnded);
        lock (_lock)
        {
            // Under the lock, so that nobody waits for a connection that has not started.
            Errno error = _stopped ? Errno.ENOTCONN : connection.TryStart(onThisThread);
            if (error != Errno.None)
            {
                connection.Dispose();
                if (_stopped)
                {
                    return null;
                }

                VfioException.ThrowIfError(_listener is null ? error : Errno.None, $"serve {DeviceName}", "The system gives this process no further thread.");
                LogNotAccepted(DeviceName, error);
                PauseAccepting();
                return null;
            }

            _active = connection;
            _connections++;
            _ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (!RefusesSecond)
            {
                // Whoever connects now stays in the backlog.
                _registration?.Dispose();
                _registration = null;
            }
        }

        return connection;
    }

    /// <summary>On the connection's thread: its device is closed.</summary>
    /// <returns>The connection that the thread goes on with: who waits already need not wait for another thread to wake up.</returns>
    private ServerConnection? OnEnded(ServerConnection connection)
    {
        TaskCompletionSource? ended;
        lock (_lock)
        {
            LastEnd = connection.End;
            _active = null;
            _goesOn = _listener is not null;
            ended = _ended;

            // Not before: the acceptor asks the active connection, under this lock, whether its client has gone.
            connection.Dispose();
        }

        // The device is closed, whatever this thread does next.
        ended?.TrySetResult();
        if (_listener is not null)
        {
            return StartNext();
        }

        _completion.TrySetResult();
        return null;
    }

    [LoggerMessage(EventId = 3101, Level = LogLevel.Information, Message = "{Device}: a second client was refused")]
    private partial void LogSecondRefused(string device);

    [LoggerMessage(EventId = 3103, Level = LogLevel.Warning, Message = "{Device}: a connection could not be accepted: {Error}; trying again in a moment")]
    private partial void LogNotAccepted(string device, Errno error);

    [LoggerMessage(EventId = 3102, Level = LogLevel.Warning, Message = "{Device}: a client of another user was refused")]
    private partial void LogUserRefused(string device);
}
