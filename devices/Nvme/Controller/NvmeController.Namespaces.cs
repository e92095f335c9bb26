using System.Diagnostics.CodeAnalysis;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <content>Which namespaces there are (allocated), and which the host sees (attached; NVMe Base 2.0 §3.2, §8.12).</content>
internal sealed partial class NvmeController
{
    /// <summary>Identify.NN: the largest NSID.</summary>
    public const int MaxNamespaces = 256;

    // By NSID - 1. Changed with the lock held, read without.
    private readonly NvmeNamespace?[] _allocated = new NvmeNamespace?[MaxNamespaces];
    private readonly NvmeNamespace?[] _attached = new NvmeNamespace?[MaxNamespaces];
    private readonly bool[] _taken = new bool[MaxNamespaces];
    private readonly int[] _generations = new int[MaxNamespaces];

    /// <summary>Guards the tables of namespaces and encloses nothing.</summary>
    private readonly Lock _namespaceLock = new();

    private ulong _allocatedBytes;

    /// <summary>Whether any command may take long enough to be worth an abort of those behind it.</summary>
    private volatile bool _mayWait;

    /// <summary>Which namespaces have changed since the host read log page 04h.</summary>
    public ChangedNamespaces Changed { get; } = new();

    /// <summary>Identify.TNVMCAP: bytes of all namespaces that there can be. Zero without namespace management.</summary>
    public ulong TotalCapacity { get; private set; }

    /// <summary>Identify.UNVMCAP: bytes that no namespace has.</summary>
    public ulong FreeCapacity => TotalCapacity - Math.Min(TotalCapacity, Volatile.Read(ref _allocatedBytes));

    /// <summary>Whether the host may make and delete namespaces.</summary>
    public bool ManagesNamespaces => _options.ManagedCapacity != 0;

    /// <summary>Identify.VWC: whether any backend has a volatile cache.</summary>
    public bool HasCache
    {
        get
        {
            foreach (NvmeNamespace? ns in _allocated)
            {
                if (ns is { HasCache: true })
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Whether what keeps a namespace is gone, or has lost something. Any thread.</summary>
    public bool IsDegraded
    {
        get
        {
            foreach (NvmeNamespace? ns in _allocated)
            {
                if (ns is { IsDegraded: true })
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Whether there may be zoned namespaces.</summary>
    public bool HasZones { get; }

    /// <summary>Whether a number (CSI) is that of a command set that namespaces may have.</summary>
    public bool HasCommandSet(byte number) => number == IoCommandSet.Nvm || (number == IoCommandSet.Zoned && HasZones);

    /// <summary>Finds a namespace that the host sees.</summary>
    /// <returns>Null for identifiers that name none.</returns>
    public NvmeNamespace? FindNamespace(uint id) => id - 1 < MaxNamespaces ? Volatile.Read(ref _attached[id - 1]) : null;

    /// <summary>Finds a namespace, attached or not.</summary>
    public NvmeNamespace? FindAllocated(uint id) => id - 1 < MaxNamespaces ? Volatile.Read(ref _allocated[id - 1]) : null;

    /// <summary>Whether an identifier may name a namespace (valid, NVMe Base 2.0 §3.2.1).</summary>
    public static bool IsValidNamespace(uint id) => id - 1 < MaxNamespaces;

    /// <summary>Makes a namespace for the host program and attaches it.</summary>
    /// <exception cref="InvalidOperationException">There are as many as there may be, or it has zones and the controller has not their command set.</exception>
    /// <exception cref="Vfio.Linux.LinuxException">A backend cannot be opened.</exception>
    public uint Attach(NvmeNamespaceOptions options)
    {
        if (options.Zones is not null && !HasZones)
        {
            throw new InvalidOperationException("The controller has told its host that there are no zoned namespaces; begin with one.");
        }

        if (!TryReserveId(out uint id, out int generation))
        {
            throw new InvalidOperationException($"The controller has {MaxNamespaces} namespaces, which are all that it can have; detach one first.");
        }

        NvmeNamespace ns;
        try
        {
            ns = Open(options, id, generation);
        }
        catch
        {
            Free(0, id);
            throw;
        }

        lock (_namespaceLock)
        {
            _allocated[id - 1] = ns;
            _allocatedBytes += ns.Backend.Length;
            TotalCapacity += ManagesNamespaces ? ns.Backend.Length : 0;
            Volatile.Write(ref _attached[id - 1], ns);
        }

        ReportChange(id);
        return id;
    }

    /// <summary>Takes a namespace away from the host and disposes its backend. On return no command uses it. Not from a command.</summary>
    /// <returns>False when there is none.</returns>
    public bool Remove(uint id)
    {
        _ = TryDetach(id, out _);
        if (FindAllocated(id) is not { } ns || !ns.TryLease())
        {
            return false;
        }

        AwaitQueues();
        ReportChange(id);
        _ = ns.Flush();
        ns.Release();
        if (!TryForget(ns))
        {
            return false;
        }

        lock (_namespaceLock)
        {
            TotalCapacity -= ManagesNamespaces ? ns.Backend.Length : 0;
        }

        ns.Release();
        return true;
    }

    /// <summary>Makes a namespace in memory, which is not attached (Namespace Management, create).</summary>
    /// <returns>A status that has no field of the command to blame.</returns>
    public NvmeStatus TryCreate(BlockFormat format, ulong length, out uint id)
    {
        lock (_namespaceLock)
        {
            if (length > FreeCapacity)
            {
                id = 0;
                return NvmeStatus.InsufficientCapacity;
            }

            // What it will take is taken now, so that nobody else can.
            _allocatedBytes += length;
        }

        if (!TryReserveId(out id, out int generation))
        {
            Free(length, id: 0);
            return NvmeStatus.NamespaceIdUnavailable;
        }

        MemoryBackend? data = MemoryBackend.TryCreate(length);
        MemoryBackend? metadata = MemoryBackend.TryCreate(NvmeNamespace.MetadataOf(length));
        var unreadable = UnreadableBlocks.TryCreate(length);
        if (data is null || metadata is null || unreadable is null)
        {
            data?.Dispose();
            metadata?.Dispose();
            unreadable?.Dispose();
            Free(length, id);
            return NvmeStatus.InternalError;
        }

        var ns = new NvmeNamespace(id, data, metadata, unreadable, format, MakeLocks(mayWait: false), zones: null, _options.Serial, generation);
        lock (_namespaceLock)
        {
            _allocated[id - 1] = ns;
        }

        return NvmeStatus.Success;
    }

    /// <summary>Deletes a namespace (Namespace Management, delete). On return no command uses it.</summary>
    public bool TryDelete(NvmeNamespace ns)
    {
        _ = TryDetach(ns.Id, out _);
        if (!TryForget(ns))
        {
            return false;
        }

        AwaitQueues();
        ns.Release();
        return true;
    }

    /// <summary>Wears out a zone of a namespace.</summary>
    /// <returns>False when there is none.</returns>
    public bool TryWearOut(uint id, int zone, bool isOffline)
    {
        if (FindAllocated(id) is not { } ns || !ns.TryLease())
        {
            return false;
        }

        bool exists = ns.Zones is { } zones && (uint)zone < (uint)zones.Count;
        if (exists)
        {
            ns.Zones!.WearOut(zone, isOffline);
        }

        ns.Release();
        return exists;
    }

    /// <summary>Shows an allocated namespace to the host (Namespace Attachment).</summary>
    public bool TryAttach(NvmeNamespace ns)
    {
        lock (_namespaceLock)
        {
            if (_attached[ns.Id - 1] is not null || _allocated[ns.Id - 1] != ns)
            {
                return false;
            }

            Volatile.Write(ref _attached[ns.Id - 1], ns);
            return true;
        }
    }

    /// <summary>Hides a namespace from the host. Commands may still use it until <see cref="AwaitQueues"/>.</summary>
    public bool TryDetach(uint id, [NotNullWhen(true)] out NvmeNamespace? ns)
    {
        lock (_namespaceLock)
        {
            ns = FindNamespace(id);
            if (ns is not null)
            {
                Volatile.Write(ref _attached[id - 1], null);
            }

            return ns is not null;
        }
    }

    /// <summary>Waits until every command that is under way now has ended. Takes the queues' turns, one after the other; no lock but one's own turn held.</summary>
    public void AwaitQueues()
    {
        for (int i = 0; i < _submissions.Length; i++)
        {
            if (FindSubmissions((uint)i) is { } queue)
            {
                lock (queue.Turn)
                {
                }

                queue.Lanes.Await();
            }
        }

        AwaitClosedQueues();
    }

    /// <summary>Makes durable what any namespace holds in a volatile cache. No lock held.</summary>
    public bool TryFlushAll()
    {
        bool succeeded = true;
        for (uint id = 1; id <= MaxNamespaces; id++)
        {
            if (FindAllocated(id) is { } ns && ns.TryLease())
            {
                succeeded &= ns.Flush() == Errno.None;
                ns.Release();
            }
        }

        return succeeded;
    }

    /// <summary>A namespace has come, gone or changed: it is listed, and an event if the host wants such.</summary>
    public void ReportChange(uint id)
    {
        Changed.Add(id);
        Events.ReportIfWanted(AsyncEvent.NamespaceAttributeChanged);
    }

    /// <summary>Tells the host that the controller is degraded, if it is and the host wants to know. Any thread.</summary>
    public void ReportDegraded()
    {
        if (_isStarted && IsDegraded)
        {
            Events.ReportIfWanted(AsyncEvent.ReliabilityDegraded);
        }
    }

    private void OpenNamespaces()
    {
        for (int i = 0; i < _options.Namespaces.Count; i++)
        {
            NvmeNamespace ns = Open(_options.Namespaces[i], (uint)i + 1, generation: 0);
            _allocated[i] = ns;
            _attached[i] = ns;
            _taken[i] = true;
            _allocatedBytes += ns.Backend.Length;
        }

        TotalCapacity = ManagesNamespaces ? _allocatedBytes + _options.ManagedCapacity : 0;
    }

    private NvmeNamespace Open(NvmeNamespaceOptions options, uint id, int generation)
    {
        ulong size = options.Size - (options.Size % (ulong)options.BlockSize);
        INvmeBackend backend = options.Backend is { } open ? Watch(open(size), id) : new MemoryBackend(size);
        INvmeBackend? metadata = null;
        UnreadableBlocks? unreadable = null;
        ZoneTable? zones = null;
        try
        {
            ulong metadataSize = NvmeNamespace.MetadataOf(backend.Length);
            metadata = options.MetadataBackend is { } openMetadata ? Watch(openMetadata(metadataSize), id)
                : options.Backend is null && options.Zones is null ? new MemoryBackend(metadataSize)
                : null;
            if (metadata is not null && metadata.Length < metadataSize)
            {
                throw new ArgumentException($"The metadata of namespace {id} has {metadata.Length} bytes; {metadataSize} are needed for its {backend.Length} bytes of blocks.", nameof(options));
            }

            unreadable = UnreadableBlocks.Create(backend.Length);
            int index = BlockFormat.IndexOf(options.BlockSize, options.MetadataSize);
            BlockFormat format = BlockFormat.TryCreate(index, options.IsMetadataExtended, options.Protection, isProtectionFirst: false, backend.Length, metadata is not null)
                ?? throw new ArgumentException($"Namespace {id} has {backend.Length} bytes and {(metadata is null ? "nowhere to keep metadata" : "metadata")}: it cannot have blocks of {options.BlockSize} + {options.MetadataSize} bytes.", nameof(options));
            zones = options.Zones is { } zoned ? OpenZones(zoned, backend, id) : null;
            bool mayWait = backend.MayWait || metadata is { MayWait: true } || zones is { Records.MayWait: true };
            _mayWait |= mayWait;
            return new NvmeNamespace(id, backend, metadata, unreadable, format, MakeLocks(mayWait), zones, _options.Serial, generation);
        }
        catch
        {
            backend.Dispose();
            metadata?.Dispose();
            unreadable?.Dispose();
            zones?.Dispose();
            throw;
        }
    }

    private ZoneTable OpenZones(NvmeZoneOptions options, INvmeBackend backend, uint id)
    {
        ulong count = backend.Length / options.Size;
        if (count is 0 or > NvmeZoneOptions.MaximumCount || backend.Length % options.Size != 0)
        {
            throw new IOException($"Namespace {id} has {backend.Length} bytes, which are not 1 to {NvmeZoneOptions.MaximumCount} zones of {options.Size} bytes: give another zone_size, or another size.");
        }

        if (options.Backend is null && (backend.HasVolatileCache || backend.IsRemote || backend.IsReadOnly))
        {
            throw new IOException($"Namespace {id} outlives the program and how far its zones are written would not: give zonefile=PATH, which is made when it is missing.");
        }

        INvmeBackend? records = options.Backend is { } open ? Watch(open(ZoneRecords.LengthFor(count)), id) : null;
        try
        {
            return new ZoneTable(options, backend.Length, records);
        }
        catch
        {
            records?.Dispose();
            throw;
        }
    }

    private WatchedBackend Watch(INvmeBackend backend, uint id)
    {
        if (backend is IReportingBackend reporting)
        {
            reporting.Report = text =>
            {
                _device.LogBackend(id, text);
                ReportDegraded();
            };
        }

        return new WatchedBackend(backend, (operation, error) => _device.LogBackendFailed(id, operation, error));
    }

    /// <summary>One thread runs all commands when it polls, and when there is one queue, but not those that wait.</summary>
    private BlockLocks? MakeLocks(bool mayWait) => (_options.Polled || _options.Queues == 1) && !mayWait ? null : new BlockLocks(isFine: mayWait);

    private bool TryReserveId(out uint id, out int generation)
    {
        lock (_namespaceLock)
        {
            int free = Array.IndexOf(_taken, false);
            id = (uint)free + 1;
            generation = 0;
            if (free >= 0)
            {
                _taken[free] = true;
                generation = ++_generations[free];
            }

            return free >= 0;
        }
    }

    private bool TryForget(NvmeNamespace ns)
    {
        lock (_namespaceLock)
        {
            if (_allocated[ns.Id - 1] != ns)
            {
                return false;
            }

            Volatile.Write(ref _allocated[ns.Id - 1], null);
            _taken[ns.Id - 1] = false;
            _allocatedBytes -= ns.Backend.Length;
            return true;
        }
    }

    /// <summary>Gives back what a namespace that did not come to be has taken.</summary>
    private void Free(ulong length, uint id)
    {
        lock (_namespaceLock)
        {
            _allocatedBytes -= length;
            if (id != 0)
            {
                _taken[id - 1] = false;
            }
        }
    }
}
