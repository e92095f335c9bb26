using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.DeviceGetInfo"/>: the kernel structure as it was before it had capabilities.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_device_info
{
    public uint argsz;
    public uint flags;
    public uint num_regions;
    public uint num_irqs;
}
