using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>A dirty bitmap of the caller; <c>data</c> is an address, <c>size</c> counts bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_bitmap
{
    public ulong pgsize;
    public ulong size;
    public ulong data;
}
