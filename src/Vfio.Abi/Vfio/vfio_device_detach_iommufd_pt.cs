using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_DETACH_IOMMUFD_PT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_detach_iommufd_pt
{
    public uint argsz;
    public uint flags;
    public uint pasid;
}
