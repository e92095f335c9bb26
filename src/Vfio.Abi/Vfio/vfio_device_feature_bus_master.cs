using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_BUS_MASTER.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_bus_master
{
    public uint op;
}
