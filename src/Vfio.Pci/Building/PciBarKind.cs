namespace Vfio.Pci;

/// <summary>The kind of address space of a BAR.</summary>
public enum PciBarKind
{
    /// <summary>Memory below 4 GiB.</summary>
    Memory32,

    /// <summary>Memory anywhere; takes two base address registers.</summary>
    Memory64,

    /// <summary>I/O ports.</summary>
    Io,
}
