using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Start of each capability in a chain; <c>next</c> counts from the start of the information structure, 0 ends the chain.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_info_cap_header
{
    public ushort id;
    public ushort version;
    public uint next;
}
