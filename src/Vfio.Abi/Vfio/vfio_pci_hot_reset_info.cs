using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. Followed by <c>devices[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_pci_hot_reset_info
{
    public uint argsz;
    public uint flags;
    public uint count;
}
