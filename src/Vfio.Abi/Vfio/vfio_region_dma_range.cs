using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One part of a region that a dma-buf exports.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_dma_range
{
    public ulong offset;
    public ulong length;
}
