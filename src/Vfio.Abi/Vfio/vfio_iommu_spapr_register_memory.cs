using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_SPAPR_REGISTER_MEMORY and VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_spapr_register_memory
{
    public uint argsz;
    public uint flags;
    public ulong vaddr;
    public ulong size;
}
