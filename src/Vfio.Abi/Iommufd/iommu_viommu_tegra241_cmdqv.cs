using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of a virtual IOMMU with the command queues of Tegra241.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_viommu_tegra241_cmdqv
{
    public ulong out_vintf_mmap_offset;
    public ulong out_vintf_mmap_length;
}
