using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Dynamic windows of a sPAPR container.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_spapr_tce_ddw_info
{
    public ulong pgsizes;
    public uint max_dynamic_windows_supported;
    public uint levels;
}
