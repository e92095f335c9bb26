using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_GET_IRQ_INFO; the payload of the vfio-user command too.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_irq_info
{
    public uint argsz;
    public uint flags;
    public uint index;
    public uint count;
}
