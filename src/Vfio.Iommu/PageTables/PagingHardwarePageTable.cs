using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A page table that always shows what an address space maps, from when it is made, whether or not a device is attached.</summary>
/// <remarks><c>iommufd_hwpt_paging</c>; spec iommufd §1.8.</remarks>
public sealed class PagingHardwarePageTable : HardwarePageTable
{
    internal PagingHardwarePageTable(Ioas ioas, IPagingDomain domain, DomainOptions options)
        : base(ioas.Context, domain, options)
    {
        Ioas = ioas;
        PagingDomain = domain;
    }

    /// <summary>The address space. The page table keeps it.</summary>
    public Ioas Ioas { get; }

    /// <summary>What the hardware walks.</summary>
    public IPagingDomain PagingDomain { get; }

    /// <summary>Whether it was made for a device that was attached to the address space itself; it then goes with its last device.</summary>
    public bool IsAutomatic { get; internal set; }

    /// <summary>Whether first-stage page tables can be made on top of it.</summary>
    public bool IsNestParent => (Options & DomainOptions.NestParent) != 0;

    internal override PagingHardwarePageTable Paging => this;

    /// <summary>Starts or stops noting what devices write. Starting forgets what was written before.</summary>
    /// <param name="enabled">Whether writes are noted from now on.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EOPNOTSUPP"/> when it was not made for it.</returns>
    /// <remarks>IOMMU_HWPT_SET_DIRTY_TRACKING; spec iommufd §2.14.</remarks>
    public Errno SetDirtyTracking(bool enabled)
        => PagingDomain.TracksWrites ? Ioas.Map.SetTracking(PagingDomain, enabled) : Errno.EOPNOTSUPP;

    /// <summary>Reports what devices wrote.</summary>
    /// <param name="range">Where to look; the walk ends at the first address that is not mapped.</param>
    /// <param name="clear">Whether what is reported is forgotten.</param>
    /// <param name="written">Receives each translation entry that was written to, cut to the range, in ascending order.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for a range that is not aligned; <see cref="Errno.EOPNOTSUPP"/> when it was not made for it.</returns>
    /// <remarks>IOMMU_HWPT_GET_DIRTY_BITMAP; spec iommufd §2.15, §3.7. <paramref name="written"/> runs under the address space's domain lock.</remarks>
    public Errno ReadDirty(IovaRange range, bool clear, Action<IovaRange> written)
    {
        if (((range.Start | unchecked(range.Last + 1)) & (Ioas.Alignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        if (!PagingDomain.TracksWrites)
        {
            return Errno.EOPNOTSUPP;
        }

        Ioas.Map.ReadWritten(PagingDomain, range, clear, written);
        return Errno.None;
    }

    /// <summary>Has the domain show the address space. The caller holds the address space's lock of page tables.</summary>
    internal Errno Show()
    {
        Errno error = Ioas.Map.AddDomain(PagingDomain);
        if (error == Errno.None)
        {
            Ioas.PageTables.Add(this);
        }

        return error;
    }

    internal override void Destroyed()
    {
        lock (Ioas.PageTableLock)
        {
            if (Ioas.PageTables.Remove(this))
            {
                Ioas.Map.RemoveDomain(PagingDomain);
            }
        }

        base.Destroyed();
        Context.Put(Ioas);
    }
}
