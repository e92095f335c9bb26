using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a region: type and subtype of a device specific region.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_info_cap_type
{
    public vfio_info_cap_header header;
    public uint type;
    public uint subtype;
}
