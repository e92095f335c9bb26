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

    /// <summary>What kind of hardware it says that it is (<c>IOMMU_HW_INFO_TYPE_*</c>); 0 for none.</summary>
    public uint DescriptionType { get; init; }

    /// <summary>Its description in the format of <see cref="DescriptionType"/>.</summary>
    public ReadOnlyMemory<byte> Description { get; init; }

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

    /// <summary>Gives <see cref="Description"/>, to whoever asks for the default or for its own kind.</summary>
    /// <inheritdoc/>
    public Errno Describe(ref uint type, out ReadOnlyMemory<byte> data)
    {
        bool isKnown = type == 0 || type == DescriptionType;
        data = isKnown ? Description : default;
        type = isKnown ? DescriptionType : type;
        return isKnown ? Errno.None : Errno.EOPNOTSUPP;
    }
}
