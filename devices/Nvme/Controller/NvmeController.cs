using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>The controller: what its registers hold, and the queues, features, logs and namespaces behind them (NVMe Base 2.0 §3).</summary>
/// <remarks>
/// <para>
/// Each submission queue is run by a work of its own, so that one that waits keeps no other waiting. The state lock of the device
/// guards the registers and the tables of queues; executing a command takes it only where it changes those.
/// </para>
/// <para>Lock order: a queue's <see cref="SubmissionQueue.Turn"/>, the device's state lock, the locks of events, logs and completion queues.</para>
/// </remarks>
internal sealed partial class NvmeController : IDisposable
{
    private readonly NvmeDevice _device;
    private readonly NvmeOptions _options;
    private readonly NvmeNamespace[] _namespaces;
    private DeviceWork? _events;
    private bool _isStarted;

    public NvmeController(NvmeDevice device, NvmeOptions options)
    {
        _device = device;
        _options = options;
        int pairs = options.Queues + 1;
        _submissions = new SubmissionQueue?[pairs];
        _completions = new CompletionQueue?[pairs];
        _requests = new NvmeRequest?[pairs];
        _works = new DeviceWork?[pairs];
        Capabilities = ControllerCapabilities.Value(options.QueueEntries);
        _namespaces = new NvmeNamespace[options.Namespaces.Count];
        try
        {
            for (int i = 0; i < _namespaces.Length; i++)
            {
                NvmeNamespaceOptions ns = options.Namespaces[i];
                ulong size = ns.Size - (ns.Size % (ulong)ns.BlockSize);
                uint id = (uint)i + 1;
                INvmeBackend backend = ns.Backend is { } open ? new WatchedBackend(open(size), (operation, error) => _device.LogBackendFailed(id, operation, error)) : new MemoryBackend(size);
                _namespaces[i] = new NvmeNamespace(id, ns.BlockSize, backend, options.Serial);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        SharedDoorbells = options.Polled ? new BarMemory("nvme doorbells", DoorbellLength(pairs)) : null;
        Features = new FeatureSet(options.Queues, pairs, _namespaces.Length);
        DefaultFeatures = new FeatureSet(options.Queues, pairs, _namespaces.Length);
        Events = new EventQueue(this);
    }

    public NvmeOptions Options => _options;

    public DmaSpace Dma => _device.Dma;

    public FeatureSet Features { get; }

    /// <summary>What the features are after a reset.</summary>
    public FeatureSet DefaultFeatures { get; }

    public EventQueue Events { get; }

    public ErrorLog Errors { get; } = new();

    /// <summary>What deleted queues have done.</summary>
    public IoStatistics Retired { get; } = new();

    public ReadOnlySpan<NvmeNamespace> Namespaces => _namespaces;

    /// <summary>MSI-X vectors.</summary>
    public int Vectors => _options.Queues + 1;

    /// <summary>The host's page size in bytes.</summary>
    public uint PageSize { get; private set; } = 1 << ControllerCapabilities.MinPageShift;

    /// <summary>Whether writes are durable only after a flush, and the host has not turned that off.</summary>
    public bool UsesCache => HasCache && Features.WriteCacheEnabled;

    /// <summary>Identify.VWC: whether any backend has a volatile cache.</summary>
    public bool HasCache
    {
        get
        {
            foreach (NvmeNamespace ns in _namespaces)
            {
                if (ns.Backend.HasVolatileCache)
                {
                    return true;
                }
            }

            return false;
        }
    }

    private Lock StateLock => _device.StateLock;

    /// <summary>The device is declared: work can be made.</summary>
    public void Start()
    {
        _life = _device.CreateWork("controller", Live);
        _events = _device.CreateWork("events", _ => Events.Post());
        _poller = _device.CreateWork("poller", Poll, longRunning: true);
        _isStarted = true;
    }

    /// <summary>There may be events to complete requests with. Any thread, also with the state lock held.</summary>
    public void ScheduleEvents() => _events!.Schedule();

    /// <summary>Finds a namespace.</summary>
    /// <returns>Null for identifiers that name none.</returns>
    public NvmeNamespace? FindNamespace(uint id) => id - 1 < (uint)_namespaces.Length ? _namespaces[id - 1] : null;

    /// <summary>What all queues, live and deleted, have done.</summary>
    public IoStatistics SumStatistics()
    {
        var sum = new IoStatistics();
        lock (StateLock)
        {
            sum.Add(Retired);
            foreach (SubmissionQueue? queue in _submissions)
            {
                if (queue is not null)
                {
                    sum.Add(queue.Statistics);
                }
            }
        }

        return sum;
    }

    public void Dispose()
    {
        foreach (NvmeNamespace? ns in _namespaces)
        {
            ns?.Dispose();
        }
    }
}
