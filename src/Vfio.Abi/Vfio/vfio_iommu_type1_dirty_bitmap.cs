using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_DIRTY_PAGES. Followed by <c>data[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_dirty_bitmap
{
    public uint argsz;
    public uint flags;
}
