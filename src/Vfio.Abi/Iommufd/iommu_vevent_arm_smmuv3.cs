using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Event of Arm SMMUv3, little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_vevent_arm_smmuv3
{
    public unsafe fixed ulong evt[4];
}
