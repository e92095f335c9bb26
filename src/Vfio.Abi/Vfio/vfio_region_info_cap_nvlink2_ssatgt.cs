using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a region: NVLink2 target address. History.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_info_cap_nvlink2_ssatgt
{
    public vfio_info_cap_header header;
    public ulong tgt;
}
