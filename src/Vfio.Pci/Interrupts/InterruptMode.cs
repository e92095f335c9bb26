namespace Vfio.Pci;

/// <summary>Which kind of interrupts the user has enabled by SET_IRQS; one at a time.</summary>
public enum InterruptMode
{
    /// <summary>None.</summary>
    None,

    /// <summary>The pin.</summary>
    Intx,

    /// <summary>Messages, configured in the MSI capability.</summary>
    Msi,

    /// <summary>Messages, configured in a table.</summary>
    Msix,
}
