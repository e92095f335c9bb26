using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>What IOMMU_GET_HW_INFO tells about Intel VT-d.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hw_info_vtd
{
    public uint flags;
    public uint __reserved;
    public ulong cap_reg;
    public ulong ecap_reg;
}
