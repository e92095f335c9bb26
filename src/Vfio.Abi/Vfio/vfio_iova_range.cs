using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>A range of usable IOVAs; the end is inclusive.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_iova_range
{
    public ulong start;
    public ulong end;
}
