using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>
/// A user-space driver for NVM Express controllers (Base 2.0, NVM Command Set 1.0) on any connection: an emulated device in this process, a
/// server across a socket, or hardware.
/// </summary>
/// <remarks>
/// <para>Owns the connection it was made on. Members may be called from several threads; operations overlap as far as queues allow.</para>
/// <para>It never formats, and changes nothing that is stored unless <see cref="NvmeOptions.AllowWrites"/> says so.</para>
/// <para>
/// A command that is late is aborted; one that stays late, a fatal status and <see cref="ResetAsync"/> reset the controller. What was in flight is
/// then sent again as far as doing it twice is the same as doing it once (reads, writes, zeroing, deallocation and flushes), at most
/// <see cref="NvmeOptions.MaximumReplays"/> times; other commands fail. An operation cannot be cancelled: its memory is the device's until it ends.
/// </para>
/// <para>Lock order: <c>_stateLock</c> is taken before nothing; no queue is called under it.</para>
/// </remarks>
public sealed partial class NvmeController : IAsyncDisposable
{
    private const int AdminDepth = 32;
    private const int MaximumPageShift = 16;
    private const int DefaultQueueLimit = 8;
    private readonly VfioConnection _connection;
    private readonly NvmeOptions _options;
    private readonly Lock _stateLock = new();
    private readonly SemaphoreSlim _adminGate = new(1);
    private ControllerRegisters? _registers;
    private Doorbells? _doorbells;
    private DmaBuffer? _adminBuffer;
    private BouncePool? _bounce;
    private QueuePair[] _queues = [];
    private NvmeNamespace[] _namespaces = [];
    private CancellationTokenRegistration _closed;
    private int _pageShift;
    private int _disposed;
    private volatile NvmeControllerState _state;

    private NvmeController(VfioConnection connection, NvmeOptions options)
    {
        _connection = connection;
        _options = options;
    }

    /// <summary>The address that was opened.</summary>
    public string Address => _connection.Address;

    /// <summary>What the controller can do, from its registers.</summary>
    public ControllerCapabilities Capabilities { get; private set; }

    /// <summary>The version that its registers name.</summary>
    public Version Version { get; private set; } = new();

    /// <summary>What it says of itself.</summary>
    public NvmeControllerIdentity Identity { get; private set; } = new();

    /// <summary>The active namespaces, usable ones and others, by identifier.</summary>
    public IReadOnlyList<NvmeNamespace> Namespaces => _namespaces;

    /// <summary>Where it is in its life.</summary>
    public NvmeControllerState State => _state;

    /// <summary>Pairs of I/O queues.</summary>
    public int QueueCount => _queues.Length - 1;

    /// <summary>Entries of each I/O queue; one fewer commands can be in flight on it.</summary>
    public int QueueDepth { get; private set; }

    /// <summary>Bytes that one command moves at most; longer operations become several commands.</summary>
    public int MaximumTransfer { get; private set; }

    /// <summary>Whether transfers that need more than two pages are described by SGLs.</summary>
    public bool UsesSgl { get; private set; }

    /// <summary>Whether doorbells go through memory.</summary>
    public bool UsesShadowDoorbells => _doorbells?.UsesShadow ?? false;

    /// <summary>Whether doorbells are rung by a store to the mapped BAR, without a system call.</summary>
    public bool UsesMappedDoorbells => _registers?.AreDoorbellsMapped ?? false;

    /// <summary>What happened to it so far.</summary>
    public NvmeStatistics Statistics => new(
        Interlocked.Read(ref _aborts), Interlocked.Read(ref _resets), Interlocked.Read(ref _replays), Interlocked.Read(ref _invalidCompletions));

    internal NvmeOptions Options => _options;

    /// <summary>Takes hold of a controller: disables it, sets up its queues, enables it, and reads what it and its namespaces are.</summary>
    /// <param name="connection">The connection; the controller owns it from here, also when this throws.</param>
    /// <param name="options">How to drive it; null for the defaults, which are read-only.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The controller; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="VfioException">The device is another one, does not come up in the time it names, or describes itself beyond all bounds.</exception>
    public static async Task<NvmeController> OpenAsync(VfioConnection connection, NvmeOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        options ??= new NvmeOptions();
        NvmeController controller = new(connection, options);
        try
        {
            if (options.FindMistake() is { } mistake)
            {
                throw new ArgumentException(mistake, nameof(options));
            }

            await controller.StartAsync(cancellationToken).ConfigureAwait(false);
            return controller;
        }
        catch
        {
            await controller.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Allocates memory that the controller can reach.</summary>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The buffer; the caller disposes it before the controller, and after the operations that use it.</returns>
    public DmaBuffer AllocateDma(nuint length) => _connection.AllocateDma(length);

    /// <summary>Takes completions that are there, on the caller's thread, in any mode; continuations run as the options say.</summary>
    /// <returns>How many were taken.</returns>
    public int Poll()
    {
        int count = 0;
        if (_disposed == 0)
        {
            foreach (QueuePair queue in _queues)
            {
                count += queue.InFlight > 0 ? queue.Drain() : 0;
            }
        }

        return count;
    }

    /// <summary>
    /// Lets the controller go: waits a while for what is under way, deletes the queues, tells the controller to shut down (CC.SHN), disables it and
    /// releases the device. Whatever is not done then fails.
    /// </summary>
    /// <returns>A task that completes when the device is released.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        Task? reset;
        NvmeControllerState before;
        lock (_stateLock)
        {
            reset = _resetTask;
        }

        if (reset is not null)
        {
            await reset.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        lock (_stateLock)
        {
            before = _state;
            _state = NvmeControllerState.Disposed;
        }

        if (before == NvmeControllerState.Live)
        {
            await ShutDownAsync().ConfigureAwait(false);
        }
        else if (_registers is not null && before == NvmeControllerState.Initializing)
        {
            await TryStopAsync().ConfigureAwait(false);
        }

        if (_watchdog is not null)
        {
            await _watchdog.DisposeAsync().ConfigureAwait(false);
        }

        _closed.Dispose();
        StopCompletions();
        BouncePool? bounce;
        lock (_stateLock)
        {
            bounce = _bounce;
        }

        foreach (QueuePair queue in _queues)
        {
            queue.Close(RequestFailure.Disposed);
            await queue.FreezeAsync().ConfigureAwait(false);
        }

        foreach (QueuePair queue in _queues)
        {
            queue.Dispose();
        }

        bounce?.Dispose();
        _adminBuffer?.Dispose();
        _doorbells?.Dispose();
        _registers?.Dispose();
        await _connection.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>The queue for the processor that asks.</summary>
    internal QueuePair SelectQueue()
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        QueuePair[] queues = _queues;
        return queues[1 + (Thread.GetCurrentProcessorId() % (queues.Length - 1))];
    }

    /// <summary>The pool of memory for transfers to and from memory that the device cannot reach, made at first use.</summary>
    internal BouncePool GetBouncePool()
    {
        if (Volatile.Read(ref _bounce) is { } present)
        {
            return present;
        }

        // Not under a lock: memory is mapped by way of the connection.
        BouncePool made = new(_connection, 1 << 20);
        lock (_stateLock)
        {
            if (_bounce is null && _disposed == 0)
            {
                _bounce = made;
                return made;
            }
        }

        made.Dispose();
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return _bounce!;
    }

    private VfioException Refusal(Errno errno, string hint) => new(errno, $"drive {Address} as an NVM Express controller", hint);
}
