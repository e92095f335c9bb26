using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Entry of the reply to <see cref="VfioUserCommand.DeviceGetRegionIoFds"/>: writes that go to an eventfd.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_sub_region_ioeventfd
{
    public ulong offset;
    public ulong size;
    public uint fd_index;
    public uint type;
    public uint flags;
    public uint padding;
    public ulong datamatch;
}
