namespace Vfio;

/// <summary>Interrupt indices of a PCI device (<c>VFIO_PCI_*_IRQ_INDEX</c>).</summary>
public enum PciInterrupt : uint
{
    /// <summary>The interrupt pin: one level-triggered interrupt, masked by its delivery.</summary>
    Intx,

    /// <summary>Message signalled interrupts.</summary>
    Msi,

    /// <summary>Message signalled interrupts with a table.</summary>
    Msix,

    /// <summary>Notice of a PCI error.</summary>
    Error,

    /// <summary>The host asks for the device back.</summary>
    Request,
}
