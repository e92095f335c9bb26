using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Start of the payload of <see cref="VfioUserCommand.RegionWriteMulti"/>, and its reply.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_region_write_multi
{
    public ulong wr_cnt;
}
