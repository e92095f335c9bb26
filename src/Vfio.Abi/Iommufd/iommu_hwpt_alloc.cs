using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_HWPT_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_alloc
{
    public uint size;
    public uint flags;
    public uint dev_id;
    public uint pt_id;
    public uint out_hwpt_id;
    public uint __reserved;
    public uint data_type;
    public uint data_len;
    public ulong data_uptr;
    public uint fault_id;
    public uint __reserved2;
}
