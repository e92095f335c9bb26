namespace Vfio.Pci;

/// <summary>The MSI-X pending bits in their BAR. Writes are dropped: software has no business there (PCI 3.0 §6.8.2.10).</summary>
internal sealed class MsixPendingBlock(PciInterrupts interrupts, ulong size) : RegisterBlock("MSI-X pending bits", size)
{
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = interrupts.ReadPending(offset, width);
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value) => AccessResult.Ok;
}
