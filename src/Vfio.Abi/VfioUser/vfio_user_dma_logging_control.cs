using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of the DMA logging start feature; unlike the kernel's, the ranges follow in the message.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_dma_logging_control
{
    public ulong page_size;
    public uint num_ranges;
    public uint reserved;
}
