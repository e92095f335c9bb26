using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_MIGRATION.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_migration
{
    public ulong flags;
}
