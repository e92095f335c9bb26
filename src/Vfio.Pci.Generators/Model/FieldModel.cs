namespace Vfio.Pci.Generators.Model;

/// <summary>A field.</summary>
internal sealed record FieldModel(
    PropertyModel Property,
    string Name,
    string Description,
    int High,
    int Low,
    AccessKind Access,
    ulong Reset,
    FieldKind Kind,
    string EnumName,
    EquatableArray<EnumValueModel> Values)
{
    public int Bits => High - Low + 1;

    public ulong Ones => Numbers.Ones(Bits);

    public ulong Mask => Ones << Low;
}
