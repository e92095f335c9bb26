using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.MigrationDataRead"/> and <see cref="VfioUserCommand.MigrationDataWrite"/>; the data follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_mig_data
{
    public uint argsz;
    public uint size;
}
