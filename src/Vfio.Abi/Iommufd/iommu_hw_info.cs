using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_GET_HW_INFO.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public struct iommu_hw_info
{
    [FieldOffset(0)]
    public uint size;

    [FieldOffset(4)]
    public uint flags;

    [FieldOffset(8)]
    public uint dev_id;

    [FieldOffset(12)]
    public uint data_len;

    [FieldOffset(16)]
    public ulong data_uptr;

    [FieldOffset(24)]
    public uint in_data_type;

    [FieldOffset(24)]
    public uint out_data_type;

    [FieldOffset(28)]
    public byte out_max_pasid_log2;

    [FieldOffset(29)]
    public unsafe fixed byte __reserved[3];

    [FieldOffset(32)]
    public ulong out_capabilities;
}
