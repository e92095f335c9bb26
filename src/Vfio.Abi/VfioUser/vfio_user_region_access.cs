using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.RegionRead"/> and <see cref="VfioUserCommand.RegionWrite"/> and of their replies; the data follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_region_access
{
    public ulong offset;
    public uint region;
    public uint count;
}
