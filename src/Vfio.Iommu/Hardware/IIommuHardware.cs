using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>The platform's IOMMU as a group of devices sees it: the operations of an IOMMU driver.</summary>
/// <remarks>
/// The seam between VFIO and a platform: <see cref="SimulatedIommu"/> is the one that comes with the library. A member with a default
/// may be left out, with the result that the kernel has for a missing operation.
/// </remarks>
public interface IIommuHardware
{
    /// <summary>Addresses that cannot be mapped for the group's devices, such as the window of message interrupts.</summary>
    IReadOnlyList<ReservedRegion> ReservedRegions { get; }

    /// <summary>Whether a device can raise only those interrupts that it was given.</summary>
    bool HasIsolatedMsi { get; }

    /// <summary>Whether it can make all DMA of the group's devices coherent with the caches, whatever a device asks.</summary>
    /// <remarks><c>IOMMU_CAP_ENFORCE_CACHE_COHERENCY</c>.</remarks>
    bool EnforcesCoherency { get; }

    /// <summary>Whether domains can be made with options or with data of the user's; without it a request for either is <see cref="Errno.EOPNOTSUPP"/>.</summary>
    bool SupportsDomainOptions => false;

    /// <summary>Whether users keep the tables of PASIDs themselves: faults of a PASID that has no page table of its own then go to the device's nested one.</summary>
    /// <remarks><c>iommu_ops.user_pasid_table</c>.</remarks>
    bool HasUserPasidTables => false;

    /// <summary>Makes an empty domain that suits the group's devices.</summary>
    /// <param name="options">What it must be able to do.</param>
    /// <param name="data">Data of the user's in the hardware's own format.</param>
    /// <param name="domain">The domain; whoever asked disposes it.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EOPNOTSUPP"/> for an option that it lacks; or why there is none.</returns>
    /// <remarks><c>domain_alloc_paging_flags</c>.</remarks>
    Errno CreateDomain(DomainOptions options, UserData data, out IPagingDomain? domain);

    /// <summary>Makes a first-stage page table.</summary>
    /// <param name="parent">The domain below, made with <see cref="DomainOptions.NestParent"/>.</param>
    /// <param name="options">What it must be able to do: faults and PASIDs.</param>
    /// <param name="data">The user's data.</param>
    /// <param name="domain">The domain; whoever asked disposes it.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks><c>domain_alloc_nested</c>.</remarks>
    Errno CreateNestedDomain(IPagingDomain parent, DomainOptions options, UserData data, out INestedDomain? domain)
    {
        domain = null;
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Whether virtual IOMMUs of a kind can be cut out of this one.</summary>
    /// <param name="type">The kind.</param>
    /// <returns>False by default.</returns>
    /// <remarks><c>get_viommu_size</c>.</remarks>
    bool SupportsVirtualIommu(uint type) => false;

    /// <summary>Cuts a virtual IOMMU out of this one for a virtual machine.</summary>
    /// <param name="type">The kind of virtual IOMMU.</param>
    /// <param name="viommu">The object that it will stand behind.</param>
    /// <param name="data">The user's data; may be answered.</param>
    /// <param name="hardware">What drives it; disposed with the object.</param>
    /// <returns><see cref="Errno.None"/>, or the hardware's error.</returns>
    /// <remarks><c>viommu_init</c>.</remarks>
    Errno CreateVirtualIommu(uint type, VirtualIommu viommu, UserData data, out IVirtualIommuHardware? hardware)
    {
        hardware = null;
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Describes the hardware in its own format.</summary>
    /// <param name="type">In: the format that the user wants, 0 for the default. Out: the format of the answer; 0 for none.</param>
    /// <param name="data">The description.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EOPNOTSUPP"/> for a format that it does not have.</returns>
    /// <remarks><c>hw_info</c>.</remarks>
    Errno Describe(ref uint type, out ReadOnlyMemory<byte> data)
    {
        data = default;
        return type == 0 ? Errno.None : Errno.EOPNOTSUPP;
    }
}
