using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Follows <see cref="vfio_user_dma_unmap"/> when dirty pages are asked for; in the reply the bitmap follows it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_bitmap
{
    public ulong pgsize;
    public ulong size;
}
