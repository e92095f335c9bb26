using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    /// <summary>Makes a page table for a device.</summary>
    /// <param name="device">A bound device that it must suit.</param>
    /// <param name="baseId">What it stands on: an address space, a page table that can be a parent, or a virtual IOMMU.</param>
    /// <param name="options">What it must be able to do.</param>
    /// <param name="data">Data in the hardware's own format.</param>
    /// <param name="faultId">The queue for its faults, with <see cref="DomainOptions.Faults"/>.</param>
    /// <param name="pageTable">The page table.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for an unknown or unsuitable base; <see cref="Errno.EOPNOTSUPP"/> for what the
    /// hardware lacks; <see cref="Errno.ENOENT"/> for an unknown queue; what showing the address space reported.
    /// </returns>
    /// <remarks>IOMMU_HWPT_ALLOC; spec iommufd §2.12.</remarks>
    public Errno CreatePageTable(IommufdDevice device, uint baseId, DomainOptions options, UserData data, uint faultId, out HardwarePageTable? pageTable)
    {
        pageTable = null;
        if (TryGet(baseId, out IommufdObject? target) != Errno.None)
        {
            return Errno.EINVAL;
        }

        HardwarePageTable? created = null;
        Errno error = target switch
        {
            Ioas ioas => CreateOnIoas(ioas, device, options, data, out created),
            PagingHardwarePageTable parent => CreateOnParent(parent, device, options, data, out created),
            VirtualIommu viommu => CreateOnVirtualIommu(viommu, device, options, data, out created),
            _ => Errno.EINVAL,
        };
        if (error != Errno.None)
        {
            Put(target!); // On success the page table keeps it.
            return error;
        }

        error = (options & DomainOptions.Faults) != 0 ? created!.SetFaults(faultId) : Errno.None;
        error = error == Errno.None ? Publish(created!) : error;
        if (error != Errno.None)
        {
            created!.Destroyed();
            return error;
        }

        pageTable = created;
        return Errno.None;
    }

    private static Errno CreateOnIoas(Ioas ioas, IommufdDevice device, DomainOptions options, UserData data, out HardwarePageTable? created)
    {
        const DomainOptions Known = DomainOptions.NestParent | DomainOptions.DirtyTracking | DomainOptions.Faults | DomainOptions.Pasid;
        created = null;
        IIommuHardware hardware = device.Hardware;
        if (((options != DomainOptions.None || data.Length != 0) && !hardware.SupportsDomainOptions)
            || (options & ~Known) != 0
            || ((options & DomainOptions.DirtyTracking) != 0 && !device.Device.TracksWrites)
            || (options & (DomainOptions.Faults | DomainOptions.NestParent)) == (DomainOptions.Faults | DomainOptions.NestParent))
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = hardware.CreateDomain(options, data, out IPagingDomain? domain);
        if (error != Errno.None)
        {
            return error;
        }

        PagingHardwarePageTable paging = new(ioas, domain!, options);
        lock (ioas.PageTableLock)
        {
            error = paging.Show();
        }

        if (error != Errno.None)
        {
            domain!.Dispose();
            return error;
        }

        created = paging;
        return Errno.None;
    }

    private static Errno CreateOnParent(PagingHardwarePageTable parent, IommufdDevice device, DomainOptions options, UserData data, out HardwarePageTable? created)
    {
        created = null;
        if ((options & ~(DomainOptions.Faults | DomainOptions.Pasid)) != 0 || data.Length == 0 || !device.Hardware.SupportsDomainOptions)
        {
            return Errno.EOPNOTSUPP;
        }

        if (parent.IsAutomatic || !parent.IsNestParent)
        {
            return Errno.EINVAL;
        }

        Errno error = device.Hardware.CreateNestedDomain(parent.PagingDomain, options, data, out INestedDomain? domain);
        created = error == Errno.None ? new NestedHardwarePageTable(parent, null, domain!, options) : null;
        return error;
    }

    private static Errno CreateOnVirtualIommu(VirtualIommu viommu, IommufdDevice device, DomainOptions options, UserData data, out HardwarePageTable? created)
    {
        created = null;
        if (!ReferenceEquals(viommu.Platform, device.Hardware))
        {
            return Errno.EINVAL;
        }

        if ((options & ~(DomainOptions.Faults | DomainOptions.Pasid)) != 0 || data.Length == 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = viommu.Hardware.CreateNestedDomain(options, data, out INestedDomain? domain);
        created = error == Errno.None ? new NestedHardwarePageTable(viommu.Parent, viommu, domain!, options) : null;
        return error;
    }
}
