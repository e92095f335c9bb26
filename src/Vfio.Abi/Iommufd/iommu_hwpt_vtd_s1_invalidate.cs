using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One invalidation of a nested page table on Intel VT-d.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_vtd_s1_invalidate
{
    public ulong addr;
    public ulong npages;
    public uint flags;
    public uint __reserved;
}
