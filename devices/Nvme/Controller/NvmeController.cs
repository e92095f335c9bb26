using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>The controller: what its registers hold, and the queues, features, logs and namespaces behind them (NVMe Base 2.0 §3).</summary>
/// <remarks>
/// <para>
/// Each submission queue is run by a work of its own, so that one that waits keeps no other waiting. The state lock of the device
/// guards the registers and the tables of queues; executing a command takes it only where it changes those.
/// </para>
/// <para>
/// Commands for backends that wait are executed by the lanes of their queue, several at a time, and the queue goes on (<see cref="QueueLanes"/>).
/// </para>
/// <para>Lock order: a queue's <see cref="SubmissionQueue.Turn"/>, or that of a lane, the device's state lock, the locks of events, logs and completion queues.</para>
/// </remarks>
internal sealed partial class NvmeController : IDisposable
{
    private readonly NvmeDevice _device;
    private readonly NvmeOptions _options;
    private DeviceWork? _events;
    private DeviceWork? _format;
    private bool _isStarted;
    private long _mediaErrors;

    public NvmeController(NvmeDevice device, NvmeOptions options)
    {
        _device = device;
        _options = options;
        HasZones = options.HasZones;
        int pairs = options.Queues + 1;
        _submissions = new SubmissionQueue?[pairs];
        _completions = new CompletionQueue?[pairs];
        _requests = new NvmeRequest?[pairs];
        _works = new DeviceWork?[pairs];
        Registers = new ControllerRegisters(this, options.QueueEntries);
        _lanes = new QueueLanes?[pairs];
        try
        {
            OpenNamespaces();
        }
        catch
        {
            Dispose();
            throw;
        }

        SharedDoorbells = options.Polled ? new BarMemory("nvme doorbells", DoorbellLength(pairs)) : null;
        _rest = options.RestsWhenIdle ? new PollerRest(options.RestPeriod) : null;
        Features = new FeatureSet(options.Queues, pairs, MaxNamespaces);
        DefaultFeatures = new FeatureSet(options.Queues, pairs, MaxNamespaces);
        Events = new EventQueue(this);
        Formats = new FormatOperation(this);
    }

    public NvmeOptions Options => _options;

    public FeatureSet Features { get; }

    /// <summary>What the features are after a reset.</summary>
    public FeatureSet DefaultFeatures { get; }

    public EventQueue Events { get; }

    public ErrorLog Errors { get; } = new();

    /// <summary>The format that runs.</summary>
    public FormatOperation Formats { get; }

    /// <summary>What deleted queues have done.</summary>
    public IoStatistics Retired { get; } = new();

    /// <summary>When the controller was made, by <see cref="Milliseconds"/>.</summary>
    public long PowerOnTime { get; private set; }

    /// <summary>Media and data integrity errors since then.</summary>
    public long MediaErrors => Interlocked.Read(ref _mediaErrors);

    /// <summary>Milliseconds of a clock that only goes forward.</summary>
    public long Milliseconds => _device.Milliseconds;

    /// <summary>MSI-X vectors.</summary>
    public int Vectors => _options.Queues + 1;

    /// <summary>The host's page size in bytes.</summary>
    public uint PageSize { get; private set; } = 1 << ControllerCapabilities.MinPageShift;

    /// <summary>Whether writes are durable only after a flush, and the host has not turned that off.</summary>
    public bool UsesCache => HasCache && Features.WriteCacheEnabled;

    private Lock StateLock => _device.StateLock;

    /// <summary>The device is declared: work can be made.</summary>
    public void Start()
    {
        _life = _device.CreateWork("controller", Live, outlivesReset: true);
        _events = _device.CreateWork("events", _ => Events.Post());
        _poller = _device.CreateWork("poller", Poll, longRunning: true);
        _coalescer = _device.CreateWork("coalescing", _ => EndCoalescing());
        _format = _device.CreateWork("format", Formats.Run, longRunning: true, outlivesReset: true);
        PowerOnTime = Milliseconds;
        _isStarted = true;
    }

    /// <summary>There may be events to complete requests with. Any thread, also with the state lock held.</summary>
    public void ScheduleEvents() => _events!.Schedule();

    /// <summary>A format was asked for. Any thread.</summary>
    public void ScheduleFormat() => _format!.Schedule();

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

            foreach (QueueLanes? lanes in _lanes)
            {
                lanes?.AddTo(sum);
            }
        }

        return sum;
    }

    public void Dispose()
    {
        _rest?.Dispose();
        _laneThreads.Dispose();
        foreach (NvmeNamespace? ns in _allocated)
        {
            ns?.Release();
        }
    }
}
