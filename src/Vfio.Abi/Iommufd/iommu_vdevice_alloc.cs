using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_VDEVICE_ALLOC.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_vdevice_alloc
{
    public uint size;
    public uint viommu_id;
    public uint dev_id;
    public uint out_vdevice_id;
    public ulong virt_id;
}
