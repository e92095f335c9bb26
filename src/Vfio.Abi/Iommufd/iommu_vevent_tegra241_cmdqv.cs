using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Event of the command queues of Tegra241, little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_vevent_tegra241_cmdqv
{
    public unsafe fixed ulong lvcmdq_err_map[2];
}
