using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a type1 container: dirty tracking.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_info_cap_migration
{
    public vfio_info_cap_header header;
    public uint flags;
    public ulong pgsize_bitmap;
    public ulong max_dirty_bitmap_size;
}
