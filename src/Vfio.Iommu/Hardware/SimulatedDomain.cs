using System.Numerics;
using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A domain of a <see cref="SimulatedIommu"/>: a page table that simulated devices' DMA walks.</summary>
public sealed class SimulatedDomain : IPagingDomain
{
    private readonly Lock _lock = new();
    private readonly SimulatedIommu _iommu;
    private readonly PageTable _table;
    private int _count;
    private long _faults;
    private volatile bool _tracking;

    internal SimulatedDomain(SimulatedIommu iommu, bool tracksWrites)
    {
        _iommu = iommu;
        _table = new PageTable(BitOperations.TrailingZeroCount(iommu.PageSizes));
        TracksWrites = tracksWrites;
    }

    /// <summary>Raised on the thread of a device whose access no mapping allowed; must not block.</summary>
    public event Action<IommuFault>? Faulted;

    /// <inheritdoc/>
    public ulong PageSizes => _iommu.PageSizes;

    /// <inheritdoc/>
    public IovaRange Aperture => _iommu.Aperture;

    /// <inheritdoc/>
    public bool EnforcesCoherency => _iommu.EnforcesCoherency;

    internal bool IsTracking => _tracking;

    /// <inheritdoc/>
    public bool TracksWrites { get; }

    /// <summary>Accesses that no mapping allowed, since the domain was made.</summary>
    public long FaultCount => Volatile.Read(ref _faults);

    /// <summary>Number of mappings.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>A group fits when its IOMMU has the same properties.</summary>
    /// <inheritdoc/>
    public Errno Attach(IommuGroup group, uint pasid)
        => group.Hardware is not SimulatedIommu other || other.PageSizes != PageSizes || other.Aperture != Aperture
            ? Errno.EINVAL
            : other.AttachResult;

    /// <inheritdoc/>
    public void Detach(IommuGroup group, uint pasid)
    {
    }

    /// <inheritdoc/>
    public Errno Map(IovaRange range, MemorySource memory, ulong offset, DmaAccess access)
    {
        DomainMapping mapping = new(range, memory, offset, access, PageSizes);
        if (access == DmaAccess.None || !Aperture.Contains(range) || !mapping.IsAligned)
        {
            return Errno.EINVAL;
        }

        memory.AddReference();
        lock (_lock)
        {
            _table.Insert(mapping);
            _count++;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public void Unmap(IovaRange range)
    {
        List<DomainMapping> removed = [];
        lock (_lock)
        {
            _table.Remove(range, removed);
            _count -= removed.Count;
        }

        foreach (DomainMapping mapping in removed)
        {
            mapping.Close();
            mapping.Source.RemoveReference();
        }
    }

    /// <inheritdoc/>
    public Errno Enter(ulong iova, DmaAccess access, out DomainMapping? mapping)
    {
        mapping = _table.Find(iova);
        if (mapping is { Source.IsRevoked: false } && (mapping.Access & access) == access && mapping.TryEnter())
        {
            return Errno.None;
        }

        mapping = null;
        Interlocked.Increment(ref _faults);
        Faulted?.Invoke(new IommuFault(iova, access));
        return Errno.EFAULT;
    }

    /// <inheritdoc/>
    public void MarkWritten(DomainMapping mapping, IovaRange range)
    {
        if (_tracking)
        {
            mapping.MarkWritten(range);
        }
    }

    /// <inheritdoc/>
    public Errno SetTracking(bool enabled)
    {
        _tracking = enabled;
        return Errno.None;
    }

    /// <inheritdoc/>
    public void ReadWritten(IovaRange range, bool clear, Action<IovaRange>? written)
    {
        List<DomainMapping> found = [];
        lock (_lock)
        {
            _table.List(range, found);
        }

        foreach (DomainMapping mapping in found)
        {
            mapping.ReadWritten(range, clear, written);
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Dispose() => Unmap(IovaRange.All);
}
