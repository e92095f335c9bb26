namespace Vfio.Iommu;

/// <summary>Bounds on what the users of one <see cref="IommufdContext"/> can make it hold.</summary>
public sealed record IommufdLimits
{
    /// <summary>The defaults.</summary>
    public static IommufdLimits Default { get; } = new();

    /// <summary>Mapped areas in one address space; further maps fail with ENOSPC.</summary>
    public int MaximumAreas { get; init; } = 1_048_576;

    /// <summary>Objects in the context; further allocations fail with ENOMEM.</summary>
    public int MaximumObjects { get; init; } = 65_536;

    /// <summary>Ranges in an address space's list of allowed ones; longer lists fail with ENOMEM.</summary>
    public int MaximumAllowedRanges { get; init; } = 1024;
}
