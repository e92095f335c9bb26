namespace Vfio.Pci.Generators.Model;

/// <summary>All that the source is made of. It holds nothing of the compilation, so that it can be compared with the one before.</summary>
/// <param name="Namespace">The class's namespace; empty for none.</param>
/// <param name="Containers">The classes around it, from outside.</param>
/// <param name="ClassName">The class.</param>
/// <param name="Visibility">The accessibility of what is generated for use outside.</param>
/// <param name="Name">The block's name.</param>
/// <param name="Size">Its bytes.</param>
/// <param name="Version">The version of its state.</param>
/// <param name="Registers">The registers, by offset.</param>
/// <param name="Reserved">The reserved areas, by offset.</param>
internal sealed record RegisterFileModel(
    string Namespace,
    EquatableArray<string> Containers,
    string ClassName,
    string Visibility,
    string Name,
    long Size,
    int Version,
    EquatableArray<RegisterModel> Registers,
    EquatableArray<ReservedModel> Reserved)
{
    /// <summary>A name that no other class of the project has.</summary>
    public string FullName => string.Join(".", new[] { Namespace }.Concat(Containers).Concat([ClassName]).Where(static part => part.Length > 0));
}
