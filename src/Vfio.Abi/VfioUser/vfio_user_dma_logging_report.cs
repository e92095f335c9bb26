using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of the DMA logging report feature; unlike the kernel's, the bitmap follows in the reply.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_dma_logging_report
{
    public ulong iova;
    public ulong length;
    public ulong page_size;
}
