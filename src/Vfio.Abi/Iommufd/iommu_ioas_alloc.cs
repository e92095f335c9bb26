using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_alloc
{
    public uint size;
    public uint flags;
    public uint out_ioas_id;
}
