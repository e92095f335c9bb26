using Vfio.Abi;

namespace Vfio;

/// <summary>What a region is: the content of <c>vfio_region_info</c>.</summary>
public record struct RegionInfo
{
    /// <summary>The region's index; for PCI see <see cref="PciRegion"/>.</summary>
    public uint Index { get; set; }

    /// <summary>What a user may do with the region. The CAPS flag is the core's and not given here.</summary>
    public RegionFlags Flags { get; set; }

    /// <summary>Size in bytes; 0 for a region that the device does not implement.</summary>
    public ulong Size { get; set; }

    /// <summary>Where the region starts in the device file, in bytes.</summary>
    public ulong Position { get; set; }
}
