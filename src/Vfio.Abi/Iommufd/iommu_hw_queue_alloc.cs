using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_HW_QUEUE_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hw_queue_alloc
{
    public uint size;
    public uint flags;
    public uint viommu_id;
    public uint type;
    public uint index;
    public uint out_hw_queue_id;
    public ulong nesting_parent_iova;
    public ulong length;
}
