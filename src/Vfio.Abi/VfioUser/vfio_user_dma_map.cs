using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.DmaMap"/>; <c>flags</c> are <see cref="VfioUserDmaMapFlags"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_dma_map
{
    public uint argsz;
    public uint flags;
    public ulong fd_offset;
    public ulong address;
    public ulong size;
}
