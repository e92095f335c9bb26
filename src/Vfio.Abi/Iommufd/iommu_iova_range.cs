using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>A range of IOVAs; <c>last</c> is inclusive.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_iova_range
{
    public ulong start;
    public ulong last;
}
