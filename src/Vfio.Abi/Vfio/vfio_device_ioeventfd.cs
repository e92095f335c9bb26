using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_IOEVENTFD.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_ioeventfd
{
    public uint argsz;
    public uint flags;
    public ulong offset;
    public ulong data;
    public int fd;
    public uint reserved;
}
