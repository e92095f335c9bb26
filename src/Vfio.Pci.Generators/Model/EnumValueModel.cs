namespace Vfio.Pci.Generators.Model;

/// <summary>A named value of a field.</summary>
internal sealed record EnumValueModel(string Name, ulong Value);
