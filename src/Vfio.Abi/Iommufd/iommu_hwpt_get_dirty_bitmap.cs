using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_HWPT_GET_DIRTY_BITMAP.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_get_dirty_bitmap
{
    public uint size;
    public uint hwpt_id;
    public uint flags;
    public uint __reserved;
    public ulong iova;
    public ulong length;
    public ulong page_size;
    public ulong data;
}
