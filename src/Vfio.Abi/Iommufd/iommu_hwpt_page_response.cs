using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Record that is written to a fault queue.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_page_response
{
    public uint cookie;
    public uint code;
}
