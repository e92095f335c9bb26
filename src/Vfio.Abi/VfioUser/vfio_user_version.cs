using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.Version"/>, before the NUL-terminated JSON.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_version
{
    public ushort major;
    public ushort minor;
}
