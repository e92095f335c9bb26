using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_GET_REGION_INFO; the payload of the vfio-user command too.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_info
{
    public uint argsz;
    public uint flags;
    public uint index;
    public uint cap_offset;
    public ulong size;
    public ulong offset;
}
