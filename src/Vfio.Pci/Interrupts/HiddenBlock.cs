namespace Vfio.Pci;

/// <summary>Reads ones and drops writes, silently: the MSI-X table as <c>vfio-pci</c> shows it.</summary>
internal sealed class HiddenBlock(string name, ulong size) : RegisterBlock(name, size)
{
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = ulong.MaxValue;
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value) => AccessResult.Ok;
}
