using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>What IOMMU_GET_HW_INFO tells about the command queues of Tegra241.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hw_info_tegra241_cmdqv
{
    public uint flags;
    public byte version;
    public byte log2vcmdqs;
    public byte log2vsids;
    public byte __reserved;
}
