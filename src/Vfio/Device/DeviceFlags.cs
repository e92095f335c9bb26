namespace Vfio;

/// <summary>Kind and abilities of a device (<c>VFIO_DEVICE_FLAGS_*</c>).</summary>
[Flags]
public enum DeviceFlags : uint
{
    /// <summary>Nothing known.</summary>
    None = 0,

    /// <summary>The device can be reset.</summary>
    Reset = 1,

    /// <summary>A PCI device.</summary>
    Pci = 2,

    /// <summary>A platform device.</summary>
    Platform = 4,

    /// <summary>An AMBA device.</summary>
    Amba = 8,

    /// <summary>An s390 channel device.</summary>
    Ccw = 0x10,

    /// <summary>An s390 crypto device.</summary>
    Ap = 0x20,

    /// <summary>A Freescale management complex device.</summary>
    FslMc = 0x40,

    /// <summary>Capabilities follow the structure.</summary>
    Capabilities = 0x80,

    /// <summary>A CDX device.</summary>
    Cdx = 0x100,
}
