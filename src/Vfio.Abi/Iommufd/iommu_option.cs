using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of IOMMU_OPTION.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommu_option
{
    public uint size;
    public uint option_id;
    public ushort op;
    public ushort __reserved;
    public uint object_id;
    public ulong val64;
}
