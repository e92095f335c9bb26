using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_VFIO_IOAS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_vfio_ioas
{
    public uint size;
    public uint ioas_id;
    public ushort op;
    public ushort __reserved;
}
