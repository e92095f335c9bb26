using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_ATTACH_IOMMUFD_PT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_attach_iommufd_pt
{
    public uint argsz;
    public uint flags;
    public uint pt_id;
    public uint pasid;
}
