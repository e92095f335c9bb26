using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of a nested page table on Intel VT-d.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_vtd_s1
{
    public ulong flags;
    public ulong pgtbl_addr;
    public uint addr_width;
    public uint __reserved;
}
