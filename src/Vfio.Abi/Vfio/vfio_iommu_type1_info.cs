using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_GET_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_info
{
    public uint argsz;
    public uint flags;
    public ulong iova_pgsizes;
    public uint cap_offset;
    public uint pad;
}
