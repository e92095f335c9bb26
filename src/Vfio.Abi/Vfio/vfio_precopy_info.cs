using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_MIG_GET_PRECOPY_INFO on the migration data descriptor.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_precopy_info
{
    public uint argsz;
    public uint flags;
    public ulong initial_bytes;
    public ulong dirty_bytes;
}
