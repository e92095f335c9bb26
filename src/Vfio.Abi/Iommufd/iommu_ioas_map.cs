using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_MAP.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_map
{
    public uint size;
    public uint flags;
    public uint ioas_id;
    public uint __reserved;
    public ulong user_va;
    public ulong length;
    public ulong iova;
}
