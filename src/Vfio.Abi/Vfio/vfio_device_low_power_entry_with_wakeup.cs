using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Data of VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_device_low_power_entry_with_wakeup
{
    public int wakeup_eventfd;
    public uint reserved;
}
