using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a region: the parts that may be mapped. Followed by <c>areas[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_info_cap_sparse_mmap
{
    public vfio_info_cap_header header;
    public uint nr_areas;
    public uint reserved;
}
