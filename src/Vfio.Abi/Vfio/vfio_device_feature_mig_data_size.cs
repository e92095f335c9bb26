using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_MIG_DATA_SIZE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_mig_data_size
{
    public ulong stop_copy_length;
}
