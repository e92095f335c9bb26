using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_PCI_HOT_RESET. Followed by <c>group_fds[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_pci_hot_reset
{
    public uint argsz;
    public uint flags;
    public uint count;
}
