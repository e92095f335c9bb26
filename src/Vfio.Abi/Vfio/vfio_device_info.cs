using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_GET_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_info
{
    public uint argsz;
    public uint flags;
    public uint num_regions;
    public uint num_irqs;
    public uint cap_offset;
    public uint pad;
}
