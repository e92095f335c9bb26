using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>An IOMMU that exists only here: it keeps the books of a real one, and its properties are what a test or a model wants.</summary>
public sealed record SimulatedIommu : IIommuHardware
{
    /// <summary>The page sizes of its domains: 4 KiB, 2 MiB and 1 GiB by default.</summary>
    public ulong PageSizes { get; init; } = 0x4020_1000;

    /// <summary>What its domains can translate; everything by default.</summary>
    public IovaRange Aperture { get; init; } = IovaRange.All;

    /// <inheritdoc/>
    public bool EnforcesCoherency { get; init; } = true;

    /// <inheritdoc/>
    public bool HasIsolatedMsi { get; init; } = true;

    /// <inheritdoc/>
    public IReadOnlyList<ReservedRegion> ReservedRegions { get; init; } = [];

    /// <summary>What a request for a domain, or to attach a group, answers; for tests of failures.</summary>
    public Errno AttachResult { get; init; }

    /// <inheritdoc/>
    public Errno CreateDomain(out IIommuDomain? domain)
    {
        domain = new SimulatedDomain(this);
        return Errno.None;
    }
}
