namespace Vfio;

/// <summary>What an sPAPR container can map (<c>vfio_iommu_spapr_tce_info</c>).</summary>
/// <param name="DefaultWindowStart">First bus address of the default window.</param>
/// <param name="DefaultWindowSize">Its length in bytes.</param>
/// <param name="HasDynamicWindows">Whether windows can be made and removed; the rest is 0 otherwise.</param>
/// <param name="PageSizes">The page sizes of windows, one bit each.</param>
/// <param name="MaximumWindows">How many windows there can be.</param>
/// <param name="MaximumLevels">The most levels of a table.</param>
public readonly record struct SpaprInfo(
    uint DefaultWindowStart, uint DefaultWindowSize, bool HasDynamicWindows, ulong PageSizes, uint MaximumWindows, uint MaximumLevels);
