using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>The entry of 48 bytes that libvfio-user sends in place of <see cref="vfio_user_sub_region_ioeventfd"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_sub_region_shadow_ioeventfd
{
    public ulong offset;
    public ulong size;
    public uint fd_index;
    public uint type;
    public uint flags;
    public uint shadow_mem_fd_index;
    public ulong shadow_offset;
    public ulong datamatch;
}
