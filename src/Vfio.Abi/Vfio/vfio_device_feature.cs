using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Start of the argument of VFIO_DEVICE_FEATURE; the payload of the vfio-user command too. Followed by <c>data[]</c>, which has no field here.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_feature
{
    public uint argsz;
    public uint flags;
}
