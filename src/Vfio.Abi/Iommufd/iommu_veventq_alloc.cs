using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_VEVENTQ_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_veventq_alloc
{
    public uint size;
    public uint flags;
    public uint viommu_id;
    public uint type;
    public uint veventq_depth;
    public uint out_veventq_id;
    public uint out_veventq_fd;
    public uint __reserved;
}
