namespace Vfio;

/// <summary>Bits of the Command register (PCI 3.0 §6.2.2).</summary>
[Flags]
public enum PciCommand : ushort
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The device answers in I/O space.</summary>
    IoSpace = 1,

    /// <summary>The device answers in memory space.</summary>
    MemorySpace = 2,

    /// <summary>The device may access memory.</summary>
    BusMaster = 4,

    /// <summary>The device may use memory write and invalidate.</summary>
    MemoryWriteInvalidate = 0x10,

    /// <summary>Parity errors are answered.</summary>
    ParityError = 0x40,

    /// <summary>System errors are reported.</summary>
    SystemError = 0x100,

    /// <summary>The interrupt pin is not asserted.</summary>
    InterruptDisable = 0x400,
}
