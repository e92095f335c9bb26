namespace Vfio.Iommu;

/// <summary>What a device may do with, or wants of, mapped memory. The direction is the device's.</summary>
[Flags]
public enum DmaAccess
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The device reads memory (<c>IOMMU_IOAS_MAP_READABLE</c>).</summary>
    Read = 1,

    /// <summary>The device writes memory (<c>IOMMU_IOAS_MAP_WRITEABLE</c>).</summary>
    Write = 2,

    /// <summary>Both.</summary>
    ReadWrite = Read | Write,
}
