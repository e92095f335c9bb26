using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of a type1 container: usable IOVAs. Followed by <c>iova_ranges[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iommu_type1_info_cap_iova_range
{
    public vfio_info_cap_header header;
    public uint nr_iovas;
    public uint reserved;
}
