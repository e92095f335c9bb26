using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_DMA_BUF. Followed by <c>dma_ranges[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_dma_buf
{
    public uint region_index;
    public uint open_flags;
    public uint flags;
    public uint nr_ranges;
}
