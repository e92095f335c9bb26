using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>An IOMMU that exists only here: it translates as a real one would, and its properties are what a test or a model wants.</summary>
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

    /// <inheritdoc/>
    public bool SupportsDomainOptions => true;

    /// <summary>What an attempt to attach a group answers; for tests of failures.</summary>
    public Errno AttachResult { get; init; }

    /// <summary>Makes a domain with the properties of this IOMMU. It can track writes and serve PASIDs; it has no first stage.</summary>
    /// <inheritdoc/>
    public Errno CreateDomain(DomainOptions options, UserData data, out IPagingDomain? domain)
    {
        const DomainOptions Known = DomainOptions.DirtyTracking | DomainOptions.Pasid | DomainOptions.Faults;
        domain = null;
        if ((options & ~Known) != 0 || data.Length != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        domain = new SimulatedDomain(this, (options & DomainOptions.DirtyTracking) != 0);
        return Errno.None;
    }
}
