using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>What IOMMU_GET_HW_INFO tells about AMD.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hw_info_amd
{
    public ulong efr;
    public ulong efr2;
}
