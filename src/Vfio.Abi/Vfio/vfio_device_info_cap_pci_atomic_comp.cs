using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Capability of the device information: widths of PCI atomics that the root port completes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_info_cap_pci_atomic_comp
{
    public vfio_info_cap_header header;
    public uint flags;
    public uint reserved;
}
