using Vfio.User;

namespace Vfio.Testing;

/// <summary>A device in a host of its own, with its server and its user. Made by <see cref="DevicePair"/>.</summary>
/// <typeparam name="TDevice">The device class.</typeparam>
/// <remarks>Dispose closes the connection, stops the server, unregisters and releases the device, and removes the socket.</remarks>
public sealed class DevicePair<TDevice> : IAsyncDisposable
    where TDevice : VfioDevice
{
    private const string DeviceName = "device0";
    private readonly DevicePairOptions _options;
    private readonly DirectoryInfo? _directory;
    private VfioConnection? _connection;
    private bool _disposed;

    private DevicePair(DevicePairOptions options, VfioHost host, TDevice device, VfioRegistration registration, DirectoryInfo? directory)
    {
        _options = options;
        Host = host;
        Device = device;
        Registration = registration;
        _directory = directory;
    }

    /// <summary>The host.</summary>
    public VfioHost Host { get; }

    /// <summary>The device.</summary>
    public TDevice Device { get; }

    /// <summary>The device's registration, to be withdrawn by tests of that.</summary>
    public VfioRegistration Registration { get; }

    /// <summary>The server; null in a pair without a socket.</summary>
    public VfioUserServer? Server { get; private set; }

    /// <summary>Where the server listens.</summary>
    /// <exception cref="InvalidOperationException">The pair has no socket.</exception>
    public string SocketPath => Server?.SocketPath ?? throw new InvalidOperationException("The pair has no socket: make it by OverSocket or Serve.");

    /// <summary>The user's connection that the pair was made with.</summary>
    /// <exception cref="InvalidOperationException">The pair was made without one.</exception>
    public VfioConnection Connection => _connection ?? throw new InvalidOperationException("Nobody is connected: make the pair by Local or OverSocket.");

    /// <summary>Connects to the server; the client is the caller's to dispose. A server has one client at a time.</summary>
    /// <param name="options">How; null for the options of the pair.</param>
    /// <returns>The connection.</returns>
    public VfioUserConnection Connect(VfioUserClientOptions? options = null) => VfioUserConnection.Connect(SocketPath, options ?? _options.Client);

    /// <summary>Connects to the server with a client that can send anything, and negotiates.</summary>
    /// <param name="json">The capabilities to propose; null for no JSON.</param>
    /// <param name="timeout">How long it waits for anything; five seconds if not given.</param>
    /// <returns>The client, the caller's to dispose.</returns>
    public RawVfioUserClient ConnectRaw(string? json = """{"capabilities":{"max_msg_fds":16}}""", TimeSpan? timeout = null)
        => RawVfioUserClient.Open(SocketPath, json, timeout);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (_connection is not null)
        {
            await _connection.DisposeAsync().ConfigureAwait(false);
        }

        if (Server is not null)
        {
            await Server.DisposeAsync().ConfigureAwait(false);
        }

        await Host.DisposeAsync().ConfigureAwait(false);
        Device.Put();
        _directory?.Delete(recursive: true);
    }

    internal static DevicePair<TDevice> Create(Func<TDevice> create, DevicePairOptions? options, bool serve, bool connect)
    {
        ArgumentNullException.ThrowIfNull(create);
        options ??= new DevicePairOptions();
        VfioHost host = new(options.Host);
        TDevice device = host.Allocate(create);
        VfioRegistration registration = host.RegisterEmulatedIommuDevice(device, DeviceName);
        DirectoryInfo? directory = serve ? Directory.CreateTempSubdirectory("vfio-") : null;
        DevicePair<TDevice> pair = new(options, host, device, registration, directory);
        try
        {
            if (directory is not null)
            {
                pair.Server = VfioUserServer.Listen(host, DeviceName, Path.Combine(directory.FullName, "socket"), options.Server);
            }

            if (connect)
            {
                pair._connection = serve ? pair.Connect() : LocalConnection.Open(host, DeviceName);
            }

            return pair;
        }
        catch
        {
            // The host waits for nobody here: no user is attached.
            pair.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }
}
