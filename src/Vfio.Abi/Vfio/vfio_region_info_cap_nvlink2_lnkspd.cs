using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a region: NVLink2 speed. History.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_info_cap_nvlink2_lnkspd
{
    public vfio_info_cap_header header;
    public uint link_speed;
    public uint __pad;
}
