using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.DeviceGetRegionIoFds"/>; in the reply <c>count</c> entries follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_region_io_fds
{
    public uint argsz;
    public uint flags;
    public uint index;
    public uint count;
}
