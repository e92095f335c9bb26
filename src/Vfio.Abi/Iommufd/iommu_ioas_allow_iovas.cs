using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_IOAS_ALLOW_IOVAS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_ioas_allow_iovas
{
    public uint size;
    public uint ioas_id;
    public uint num_iovas;
    public uint __reserved;
    public ulong allowed_iovas;
}
