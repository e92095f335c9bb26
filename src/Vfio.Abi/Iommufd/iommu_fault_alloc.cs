using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_FAULT_QUEUE_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_fault_alloc
{
    public uint size;
    public uint flags;
    public uint out_fault_id;
    public uint out_fault_fd;
}
