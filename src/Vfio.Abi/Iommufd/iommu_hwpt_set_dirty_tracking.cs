using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_HWPT_SET_DIRTY_TRACKING.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_set_dirty_tracking
{
    public uint size;
    public uint flags;
    public uint hwpt_id;
    public uint __reserved;
}
