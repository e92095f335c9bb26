using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_SET_IRQS; the payload of the vfio-user command too, where descriptors travel beside the bytes. Followed by <c>data[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_irq_set
{
    public uint argsz;
    public uint flags;
    public uint index;
    public uint start;
    public uint count;
}
