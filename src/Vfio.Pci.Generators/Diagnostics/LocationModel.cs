using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace Vfio.Pci.Generators.Diagnostics;

/// <summary>A place in a source, without the tree it is of.</summary>
internal sealed record LocationModel(string Path, TextSpan Span, LinePositionSpan Lines)
{
    public static LocationModel? From(Location? location) => location is { IsInSource: true }
        ? new LocationModel(location.SourceTree!.FilePath, location.SourceSpan, location.GetLineSpan().Span)
        : null;

    public Location ToLocation() => Location.Create(Path, Span, Lines);
}
