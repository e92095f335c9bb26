using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Start of each record that is read from a virtual event queue.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct iommufd_vevent_header
{
    public uint flags;
    public uint sequence;
}
