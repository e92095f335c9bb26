using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One write of <see cref="VfioUserCommand.RegionWriteMulti"/>; <c>count</c> is at most 8.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_region_write_multi_entry
{
    public ulong offset;
    public uint region;
    public uint count;
    public ulong data;
}
