namespace Vfio;

/// <summary>Region indices of a PCI device (<c>VFIO_PCI_*_REGION_INDEX</c>).</summary>
public enum PciRegion : uint
{
    /// <summary>Base address register 0.</summary>
    Bar0,

    /// <summary>Base address register 1.</summary>
    Bar1,

    /// <summary>Base address register 2.</summary>
    Bar2,

    /// <summary>Base address register 3.</summary>
    Bar3,

    /// <summary>Base address register 4.</summary>
    Bar4,

    /// <summary>Base address register 5.</summary>
    Bar5,

    /// <summary>The expansion ROM.</summary>
    Rom,

    /// <summary>Configuration space.</summary>
    Config,

    /// <summary>Legacy VGA ranges.</summary>
    Vga,
}
