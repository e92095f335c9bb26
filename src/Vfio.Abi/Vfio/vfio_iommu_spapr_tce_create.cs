using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_IOMMU_SPAPR_TCE_CREATE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_spapr_tce_create
{
    public uint argsz;
    public uint flags;
    public uint page_shift;
    public uint __resv1;
    public ulong window_size;
    public uint levels;
    public uint __resv2;
    public ulong start_addr;
}
