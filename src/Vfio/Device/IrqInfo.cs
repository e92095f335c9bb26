namespace Vfio;

/// <summary>What an interrupt index is: the content of <c>vfio_irq_info</c>.</summary>
/// <param name="Index">The index; for PCI see <see cref="PciInterrupt"/>.</param>
/// <param name="Flags">How its interrupts behave.</param>
/// <param name="Count">How many interrupts it has; 0 when the device has none of this kind.</param>
public readonly record struct IrqInfo(uint Index, IrqInfoFlags Flags, uint Count);
