using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_VIOMMU_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_viommu_alloc
{
    public uint size;
    public uint flags;
    public uint type;
    public uint dev_id;
    public uint hwpt_id;
    public uint out_viommu_id;
    public uint data_len;
    public uint __reserved;
    public ulong data_uptr;
}
