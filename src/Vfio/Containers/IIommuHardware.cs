using Vfio.Abi;

namespace Vfio;

/// <summary>The platform's IOMMU as a group of devices sees it.</summary>
/// <remarks>The seam between containers and a platform: <see cref="SimulatedIommu"/> is the one that comes with the library.</remarks>
public interface IIommuHardware
{
    /// <summary>Addresses that cannot be mapped for the group's devices, such as the window of message interrupts.</summary>
    IReadOnlyList<ReservedRegion> ReservedRegions { get; }

    /// <summary>Whether a device can raise only those interrupts that it was given.</summary>
    bool HasIsolatedMsi { get; }

    /// <summary>Whether it can make all DMA of the group's devices coherent with the caches, whatever a device asks.</summary>
    /// <remarks><c>IOMMU_CAP_ENFORCE_CACHE_COHERENCY</c>.</remarks>
    bool EnforcesCoherency { get; }

    /// <summary>Makes an empty domain that suits the group's devices.</summary>
    /// <param name="domain">The domain; whoever asked disposes it.</param>
    /// <returns><see cref="Errno.None"/>, or why there is none.</returns>
    /// <remarks><c>iommu_domain_alloc</c>.</remarks>
    Errno CreateDomain(out IIommuDomain? domain);
}
