using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Registers of the migration region of version 1, which is history.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_migration_info
{
    public uint device_state;
    public uint reserved;
    public ulong pending_bytes;
    public ulong data_offset;
    public ulong data_size;
}
