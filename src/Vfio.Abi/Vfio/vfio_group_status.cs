using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_GROUP_GET_STATUS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_group_status
{
    public uint argsz;
    public uint flags;
}
