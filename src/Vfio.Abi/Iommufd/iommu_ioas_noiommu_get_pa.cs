using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_NOIOMMU_GET_PA.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_noiommu_get_pa
{
    public uint size;
    public uint flags;
    public uint ioas_id;
    public uint __reserved;
    public ulong iova;
    public ulong length;
    public ulong out_phys;
}
