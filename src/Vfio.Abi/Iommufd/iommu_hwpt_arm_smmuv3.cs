using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of a nested page table on Arm SMMUv3: two words of the stream table entry, little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_arm_smmuv3
{
    public unsafe fixed ulong ste[2];
}
