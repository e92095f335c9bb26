namespace Vfio.Pci.Generators.Model;

/// <summary>What the property of a field gives.</summary>
internal enum FieldKind
{
    Bool,
    Integer,
    Enum,
    Array,
}
