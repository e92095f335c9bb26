using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_DESTROY.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_destroy
{
    public uint size;
    public uint id;
}
