using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_CHANGE_PROCESS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_change_process
{
    public uint size;
    public uint __reserved;
}
