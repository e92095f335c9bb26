using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_IOVA_RANGES.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_iova_ranges
{
    public uint size;
    public uint ioas_id;
    public uint num_iovas;
    public uint __reserved;
    public ulong allowed_iovas;
    public ulong out_iova_alignment;
}
