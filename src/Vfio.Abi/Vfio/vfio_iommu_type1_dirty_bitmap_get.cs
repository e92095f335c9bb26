using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Tail of <see cref="vfio_iommu_type1_dirty_bitmap"/> when a bitmap is asked for.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_dirty_bitmap_get
{
    public ulong iova;
    public ulong size;
    public vfio_bitmap bitmap;
}
