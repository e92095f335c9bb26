using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_SPAPR_TCE_REMOVE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_spapr_tce_remove
{
    public uint argsz;
    public uint flags;
    public ulong start_addr;
}
