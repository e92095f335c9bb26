using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Collects the mistakes of a declaration: all of them are reported, not only the first.</summary>
internal sealed class MistakeList
{
    private readonly List<Mistake> _mistakes = [];

    public IReadOnlyList<Mistake> Items => _mistakes;

    public void Add(DiagnosticDescriptor descriptor, Location? location, params string[] arguments)
        => _mistakes.Add(new Mistake(descriptor.Id, LocationModel.From(location), new EquatableArray<string>(arguments)));
}
