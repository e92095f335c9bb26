using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Reads a property with <c>[Register]</c>.</summary>
internal sealed class RegisterReader(INamedTypeSymbol type, int version, MistakeList mistakes, CancellationToken cancellation)
{
    public const string AttributeName = "Vfio.Pci.RegisterAttribute";

    /// <summary>Elements of an array: what a 16-bit index in a device reaches, with room.</summary>
    private const int MaxCount = 1 << 20;

    /// <summary>Reads a register without its fields; null after reporting a mistake that leaves nothing to go on with.</summary>
    public RegisterModel? Read(IPropertySymbol property, AttributeReader attribute)
    {
        if (PropertyReader.Read(property, mistakes, cancellation) is not { } shape)
        {
            return null;
        }

        bool isArray = property.Type is INamedTypeSymbol named && named.OriginalDefinition.ToDisplayString() == "System.Span<T>";
        ITypeSymbol element = isArray ? ((INamedTypeSymbol)property.Type).TypeArguments[0] : property.Type;
        int width = element.SpecialType switch
        {
            SpecialType.System_Byte => 1,
            SpecialType.System_UInt16 => 2,
            SpecialType.System_UInt32 => 4,
            SpecialType.System_UInt64 => 8,
            _ => 0,
        };
        string name = attribute.Text("Name") ?? Names.Words(property.Name);
        if (width == 0)
        {
            mistakes.Add(RegisterDiagnostics.RegisterType, property.Locations[0], name, property.Type.ToDisplayString());
            return null;
        }

        long offset = attribute.Number(0);
        long access = attribute.Number("Access", (long)AccessKind.ReadWrite);
        long widths = attribute.Number("Widths");
        long narrow = attribute.Number("Narrow");
        long count = attribute.Number("Count");
        long stride = attribute.Number("Stride");
        bool isUsable = CheckAccess(attribute, name, access);
        isUsable &= CheckWidths(attribute, name, width, widths, narrow);
        isUsable &= CheckArray(attribute, property, name, isArray, width, count, stride);
        if (!isUsable)
        {
            return null;
        }

        if (offset % width != 0)
        {
            mistakes.Add(RegisterDiagnostics.Misaligned, attribute.Location, name, Numbers.Hex(offset), Numbers.Text(width));
        }

        long since = attribute.Number("Since", 1);
        if (since < 1 || since > version)
        {
            mistakes.Add(RegisterDiagnostics.StateVersion, attribute.Location, name, $"it is there since version {since}, but the register file has the versions 1 to {version}; raise Version");
        }

        ulong reset = attribute.Bits("Reset");
        var hooks = new HookReader(type, attribute, name, element, isArray, mistakes);
        return new RegisterModel(
            shape,
            name,
            attribute.Text("Description") ?? "",
            offset,
            width,
            (AccessKind)access,
            reset,
            (int)widths,
            narrow == 1,
            isArray,
            isArray ? (int)count : 1,
            isArray ? (stride == 0 ? width : stride) : width,
            (int)since,
            hooks.Read("BeforeRead", returns: true, 0, 1),
            hooks.Read("AfterRead", returns: false, 0, 1),
            hooks.Read("BeforeWrite", returns: true, 1, 2),
            hooks.Read("AfterWrite", returns: false, 0, 2),
            default);
    }

    private bool CheckAccess(AttributeReader attribute, string name, long access)
    {
        string? why = access is < 0 or > (long)AccessKind.Unimplemented ? "there is no such mode"
            : access == (long)AccessKind.Reserved ? "declare reserved bytes by [ReservedRegisters(offset, length)] on the class"
            : null;
        if (why is not null)
        {
            mistakes.Add(RegisterDiagnostics.Access, attribute.Location, name, access == (long)AccessKind.Reserved ? nameof(AccessKind.Reserved) : Numbers.Text(access), why);
        }

        return why is null;
    }

    private bool CheckWidths(AttributeReader attribute, string name, int width, long widths, long narrow)
    {
        // RegisterWidths.All is for registers of every width.
        string? why = widths is < 0 or > 15 ? $"0x{widths:X} is no combination of Byte, Word, Dword and Qword"
            : widths != 15 && widths >= width * 2 ? $"the register has {width} bytes; wider accesses arrive in pieces anyway"
            : narrow is < 0 or > 1 ? $"{narrow} is neither Part nor ZeroExtend"
            : null;
        if (why is not null)
        {
            mistakes.Add(RegisterDiagnostics.Widths, attribute.Location, name, why);
        }

        return why is null;
    }

    private bool CheckArray(AttributeReader attribute, IPropertySymbol property, string name, bool isArray, int width, long count, long stride)
    {
        string? why = null;
        if (!isArray)
        {
            why = attribute.Has("Count") || attribute.Has("Stride") ? $"Count and Stride make it an array, whose property must be 'Span<{property.Type.ToDisplayString()}>'" : null;
        }
        else if (count is < 1 or > MaxCount)
        {
            why = $"an array has a Count of 1 to {MaxCount}, not {count}";
        }
        else if (stride != 0 && (stride < width || stride % width != 0 || stride > int.MaxValue))
        {
            why = $"the Stride of {stride} must be a multiple of the width, {width}";
        }
        else if (property.SetMethod is not null)
        {
            why = "its property is a span, which is only read: { get; }";
        }

        if (why is not null)
        {
            mistakes.Add(RegisterDiagnostics.Array, attribute.Location, name, why);
        }

        return why is null;
    }
}
