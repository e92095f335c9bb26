using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One invalidation command of Arm SMMUv3, little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_viommu_arm_smmuv3_invalidate
{
    public unsafe fixed ulong cmd[2];
}
