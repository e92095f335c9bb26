using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>What IOMMU_GET_HW_INFO tells about Arm SMMUv3.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hw_info_arm_smmuv3
{
    public uint flags;
    public uint __reserved;
    public unsafe fixed uint idr[6];
    public uint iidr;
    public uint aidr;
}
