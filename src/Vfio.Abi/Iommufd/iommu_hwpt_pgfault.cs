using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Record that is read from a fault queue.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_hwpt_pgfault
{
    public uint flags;
    public uint dev_id;
    public uint pasid;
    public uint grpid;
    public uint perm;
    public uint __reserved;
    public ulong addr;
    public uint length;
    public uint cookie;
}
