using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_START; <c>ranges</c> is an address.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_dma_logging_control
{
    public ulong page_size;
    public uint num_ranges;
    public uint __reserved;
    public ulong ranges;
}
