namespace Vfio.Pci.Generators.Model;

/// <summary>A partial property as its other half must repeat it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its type, fully qualified.</param>
/// <param name="Modifiers">Its accessibility, with a space behind.</param>
/// <param name="Get">The accessor's accessibility, with a space behind, or nothing.</param>
/// <param name="Set">The same of the other accessor; null when there is none.</param>
internal sealed record PropertyModel(string Name, string Type, string Modifiers, string Get, string? Set);
