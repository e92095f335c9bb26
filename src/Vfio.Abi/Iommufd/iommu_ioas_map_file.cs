using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_MAP_FILE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_map_file
{
    public uint size;
    public uint flags;
    public uint ioas_id;
    public int fd;
    public ulong start;
    public ulong length;
    public ulong iova;
}
