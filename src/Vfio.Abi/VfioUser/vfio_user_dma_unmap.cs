using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.DmaUnmap"/> and of its reply; <c>flags</c> are <see cref="VfioUserDmaUnmapFlags"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_dma_unmap
{
    public uint argsz;
    public uint flags;
    public ulong address;
    public ulong size;
}
