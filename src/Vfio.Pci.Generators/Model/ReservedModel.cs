namespace Vfio.Pci.Generators.Model;

/// <summary>Bytes that read zero and ignore writes.</summary>
internal sealed record ReservedModel(long Offset, long Length, string Name)
{
    public long End => Offset + Length;
}
