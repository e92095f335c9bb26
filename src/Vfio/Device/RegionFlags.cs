namespace Vfio;

/// <summary>What a user may do with a region (<c>VFIO_REGION_INFO_FLAG_*</c>).</summary>
[Flags]
public enum RegionFlags : uint
{
    /// <summary>Nothing: the region is not implemented.</summary>
    None = 0,

    /// <summary>It can be read.</summary>
    Read = 1,

    /// <summary>It can be written.</summary>
    Write = 2,

    /// <summary>It can be mapped, wholly or in the areas that its sparse capability lists.</summary>
    Map = 4,

    /// <summary>Capabilities follow the structure. Set by the core only.</summary>
    Capabilities = 8,
}
