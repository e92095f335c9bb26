using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of a nested page table on AMD: the guest device table entry.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_amd_guest
{
    public unsafe fixed ulong dte[4];
}
