using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a type1 container: how many more mappings there may be.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_info_dma_avail
{
    public vfio_info_cap_header header;
    public uint avail;
}
