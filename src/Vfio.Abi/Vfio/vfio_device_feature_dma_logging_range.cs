using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One range whose DMA is logged.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_dma_logging_range
{
    public ulong iova;
    public ulong length;
}
