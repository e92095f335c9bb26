using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_mig_state
{
    public uint device_state;
    public int data_fd;
}
