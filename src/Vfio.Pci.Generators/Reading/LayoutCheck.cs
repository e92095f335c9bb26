using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>What can only be seen of all registers together.</summary>
internal sealed class LayoutCheck(string block, long size, MistakeList mistakes)
{
    private readonly List<(string Name, long Offset, int Width, int Count, long Stride, Location? Location)> _areas = [];
    private readonly Dictionary<string, string> _macros = new(StringComparer.Ordinal);

    public void Add(RegisterModel register, Location? location)
    {
        AddName(register.Name, Names.Macro(register.Name), location);
        AddArea(register.Name, register.Offset, register.Width, register.Count, register.Stride, register.End, location);
    }

    public void Add(ReservedModel reserved, Location? location) => AddArea(reserved.Name, reserved.Offset, (int)reserved.Length, 1, reserved.Length, reserved.End, location);

    /// <summary>Notes a name of the C header, which has one name space.</summary>
    public void AddName(string name, string macro, Location? location)
    {
        if (macro.Length == 0)
        {
            mistakes.Add(RegisterDiagnostics.DuplicateName, location, name, "the C header needs a letter or digit in it");
        }
        else if (_macros.TryGetValue(macro, out string? other))
        {
            mistakes.Add(RegisterDiagnostics.DuplicateName, location, name, $"with '{other}' it would be {macro} in the C header twice");
        }
        else
        {
            _macros.Add(macro, name);
        }
    }

    /// <summary>Checks fields, and gives them in the order of their bits.</summary>
    public IReadOnlyList<FieldModel> Fields(RegisterModel register, IEnumerable<(FieldModel Field, Location? Location)> fields)
    {
        (FieldModel Field, Location? Location)[] ordered = [.. fields.OrderBy(static item => item.Field.Low)];
        for (int i = 0; i < ordered.Length; i++)
        {
            (FieldModel field, Location? location) = ordered[i];
            AddName($"{register.Name} {field.Name}", Names.Macro($"{register.Name} {field.Name}"), location);
            if (i > 0 && field.Low <= ordered[i - 1].Field.High)
            {
                mistakes.Add(RegisterDiagnostics.FieldOverlap, location, field.Name, ordered[i - 1].Field.Name, register.Name);
            }
        }

        return [.. ordered.Select(static item => item.Field)];
    }

    private static bool Overlaps((string Name, long Offset, int Width, int Count, long Stride, Location? Location) few, (string Name, long Offset, int Width, int Count, long Stride, Location? Location) many, out long at)
    {
        for (int i = 0; i < few.Count; i++)
        {
            long start = few.Offset + (i * few.Stride);
            long end = start + few.Width;

            // The last element of the other that begins before this one ends.
            long element = Math.Min(many.Count - 1, (end - 1 - many.Offset) / many.Stride);
            if (end > many.Offset && element >= 0 && many.Offset + (element * many.Stride) + many.Width > start)
            {
                at = Math.Max(start, many.Offset + (element * many.Stride));
                return true;
            }
        }

        at = 0;
        return false;
    }

    private void AddArea(string name, long offset, int width, int count, long stride, long end, Location? location)
    {
        if (offset < 0 || end > size)
        {
            mistakes.Add(RegisterDiagnostics.Outside, location, name, Numbers.Hex(offset), Numbers.Hex(end - 1), Numbers.Hex(size));
            return;
        }

        var area = (Name: name, Offset: offset, Width: width, Count: count, Stride: stride, Location: location);
        foreach ((string Name, long Offset, int Width, int Count, long Stride, Location? Location) other in _areas)
        {
            if (area.Count <= other.Count ? Overlaps(area, other, out long at) : Overlaps(other, area, out at))
            {
                mistakes.Add(RegisterDiagnostics.Overlap, location, name, other.Name, $"{Numbers.Hex(at)} of block '{block}'");
                break;
            }
        }

        _areas.Add(area);
    }
}
