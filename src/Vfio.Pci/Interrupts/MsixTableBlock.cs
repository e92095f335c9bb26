namespace Vfio.Pci;

/// <summary>The MSI-X table in its BAR.</summary>
internal sealed class MsixTableBlock(PciInterrupts interrupts, ulong size) : RegisterBlock("MSI-X table", size)
{
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = interrupts.ReadTable(offset, width);
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        interrupts.WriteTable(offset, width, value);
        return AccessResult.Ok;
    }
}
