using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Diagnostics;

/// <summary>A mistake in a declaration. By its id and not by its descriptor, so that two of them can be compared.</summary>
internal sealed record Mistake(string Id, LocationModel? Location, EquatableArray<string> Arguments)
{
    public Diagnostic ToDiagnostic() => Diagnostic.Create(RegisterDiagnostics.Find(Id), Location?.ToLocation(), [.. Arguments]);
}
