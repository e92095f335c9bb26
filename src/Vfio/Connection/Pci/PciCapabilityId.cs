namespace Vfio;

/// <summary>Capabilities in the first 256 bytes of configuration space, by their number (PCI Code and ID Assignment §2).</summary>
public enum PciCapabilityId : byte
{
    /// <summary>Power management.</summary>
    PowerManagement = 0x01,

    /// <summary>Vital product data.</summary>
    VitalProductData = 0x03,

    /// <summary>Message signalled interrupts.</summary>
    Msi = 0x05,

    /// <summary>PCI-X.</summary>
    PciX = 0x07,

    /// <summary>Vendor specific.</summary>
    VendorSpecific = 0x09,

    /// <summary>Subsystem ids of a bridge.</summary>
    BridgeSubsystem = 0x0D,

    /// <summary>PCI Express.</summary>
    Express = 0x10,

    /// <summary>Message signalled interrupts by a table.</summary>
    Msix = 0x11,

    /// <summary>Advanced features: function level reset of a conventional function.</summary>
    AdvancedFeatures = 0x13,
}
