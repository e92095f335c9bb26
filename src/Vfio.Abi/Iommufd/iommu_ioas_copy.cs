using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_COPY.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_copy
{
    public uint size;
    public uint flags;
    public uint dst_ioas_id;
    public uint src_ioas_id;
    public ulong length;
    public ulong dst_iova;
    public ulong src_iova;
}
