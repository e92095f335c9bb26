using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_ZPCI_ERROR.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature_zpci_err
{
    public ulong data;
}
