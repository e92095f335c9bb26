using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One part of a region that may be mapped, relative to the region.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_sparse_mmap_area
{
    public ulong offset;
    public ulong size;
}
