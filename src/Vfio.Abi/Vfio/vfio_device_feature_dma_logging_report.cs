using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT; <c>bitmap</c> is an address.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_dma_logging_report
{
    public ulong iova;
    public ulong length;
    public ulong page_size;
    public ulong bitmap;
}
