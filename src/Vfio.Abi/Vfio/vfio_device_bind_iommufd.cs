using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_BIND_IOMMUFD.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_bind_iommufd
{
    public uint argsz;
    public uint flags;
    public int iommufd;
    public uint out_devid;
    public ulong token_uuid_ptr;
}
