using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_SPAPR_TCE_GET_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_spapr_tce_info
{
    public uint argsz;
    public uint flags;
    public uint dma32_window_start;
    public uint dma32_window_size;
    public vfio_iommu_spapr_tce_ddw_info ddw;
}
