using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_HWPT_INVALIDATE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_invalidate
{
    public uint size;
    public uint hwpt_id;
    public ulong data_uptr;
    public uint data_type;
    public uint entry_len;
    public uint entry_num;
    public uint __reserved;
}
