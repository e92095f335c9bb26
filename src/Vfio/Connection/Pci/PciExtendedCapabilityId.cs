namespace Vfio;

/// <summary>Capabilities behind the first 256 bytes of configuration space, by their number (PCI Code and ID Assignment §3).</summary>
public enum PciExtendedCapabilityId : ushort
{
    /// <summary>Advanced error reporting.</summary>
    AdvancedErrorReporting = 0x0001,

    /// <summary>Device serial number.</summary>
    SerialNumber = 0x0003,

    /// <summary>Vendor specific.</summary>
    VendorSpecific = 0x000B,

    /// <summary>Access control services.</summary>
    AccessControlServices = 0x000D,

    /// <summary>Alternative routing id.</summary>
    AlternativeRoutingId = 0x000E,

    /// <summary>Address translation services.</summary>
    AddressTranslation = 0x000F,

    /// <summary>Single root I/O virtualization.</summary>
    SingleRootIoVirtualization = 0x0010,

    /// <summary>Page request interface.</summary>
    PageRequest = 0x0013,

    /// <summary>Resizable BARs.</summary>
    ResizableBar = 0x0015,

    /// <summary>Latency tolerance reporting.</summary>
    LatencyTolerance = 0x0018,

    /// <summary>Process address space ids.</summary>
    Pasid = 0x001B,

    /// <summary>Designated vendor specific.</summary>
    DesignatedVendorSpecific = 0x0023,
}
