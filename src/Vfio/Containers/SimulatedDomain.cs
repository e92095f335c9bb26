using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>A domain of a <see cref="SimulatedIommu"/>: a table of what is mapped, which simulated hardware looks its addresses up in.</summary>
public sealed class SimulatedDomain : IIommuDomain
{
    private readonly Lock _lock = new();
    private readonly SimulatedIommu _iommu;
    private readonly SortedDictionary<ulong, Entry> _entries = [];
    private readonly List<IommuGroup> _groups = [];

    internal SimulatedDomain(SimulatedIommu iommu)
    {
        _iommu = iommu;
    }

    /// <inheritdoc/>
    public ulong PageSizes => _iommu.PageSizes;

    /// <inheritdoc/>
    public IovaRange Aperture => _iommu.Aperture;

    /// <inheritdoc/>
    public bool EnforcesCoherency => _iommu.EnforcesCoherency;

    /// <summary>Number of mapped ranges.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _entries.Count;
            }
        }
    }

    /// <summary>A group fits when its IOMMU has the same properties.</summary>
    /// <inheritdoc/>
    public Errno Attach(IommuGroup group)
    {
        if (group.Hardware is not SimulatedIommu other || other.PageSizes != PageSizes || other.Aperture != Aperture)
        {
            return Errno.EINVAL;
        }

        if (other.AttachResult != Errno.None)
        {
            return other.AttachResult;
        }

        lock (_lock)
        {
            _groups.Add(group);
            return Errno.None;
        }
    }

    /// <inheritdoc/>
    public void Detach(IommuGroup group)
    {
        lock (_lock)
        {
            _groups.Remove(group);
        }
    }

    /// <inheritdoc/>
    public Errno Map(IovaRange range, IUserMemory memory, ulong address, DmaAccess access)
    {
        lock (_lock)
        {
            _entries.Add(range.Start, new Entry(range, memory, address, access));
            return Errno.None;
        }
    }

    /// <inheritdoc/>
    public void Unmap(IovaRange range)
    {
        lock (_lock)
        {
            _entries.Remove(range.Start);
        }
    }

    /// <summary>Translates an address as the hardware would.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="address">The user's address behind it.</param>
    /// <param name="access">What a device may do there.</param>
    /// <returns>False for an address that is not mapped.</returns>
    public bool TryTranslate(ulong iova, out ulong address, out DmaAccess access)
    {
        lock (_lock)
        {
            foreach (Entry entry in _entries.Values)
            {
                if (entry.Range.Contains(iova))
                {
                    address = entry.Address + (iova - entry.Range.Start);
                    access = entry.Access;
                    return true;
                }
            }
        }

        address = 0;
        access = DmaAccess.None;
        return false;
    }

    /// <summary>Forgets everything.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _entries.Clear();
            _groups.Clear();
        }
    }

    private readonly record struct Entry(IovaRange Range, IUserMemory Memory, ulong Address, DmaAccess Access);
}
