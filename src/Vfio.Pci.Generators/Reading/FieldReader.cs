using System.Globalization;
using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Reads a property with <c>[Field]</c>.</summary>
internal static class FieldReader
{
    public const string AttributeName = "Vfio.Pci.FieldAttribute";
    private const string ArrayType = "Vfio.Pci.FieldArray<T>";

    /// <summary>Reads a field of a register whose other properties are known.</summary>
    public static FieldModel? Read(IPropertySymbol property, AttributeReader attribute, RegisterModel register, MistakeList mistakes, CancellationToken cancellation)
    {
        if (PropertyReader.Read(property, mistakes, cancellation) is not { } shape)
        {
            return null;
        }

        int high = (int)attribute.Number(1);
        int low = attribute.ArgumentCount > 2 ? (int)attribute.Number(2) : high;
        string name = attribute.Text("Name") ?? Names.Words(property.Name);
        if (low < 0 || high < low || high >= register.Width * 8)
        {
            mistakes.Add(RegisterDiagnostics.FieldRange, attribute.Location, name, Numbers.Text(high), Numbers.Text(low), register.Name, Numbers.Text((register.Width * 8) - 1));
            return null;
        }

        long access = attribute.Number("Access", (long)register.Access);
        if (access is < 0 or >= (long)AccessKind.Unimplemented && access != (long)register.Access)
        {
            bool isKnown = access == (long)AccessKind.Unimplemented;
            mistakes.Add(RegisterDiagnostics.Access, attribute.Location, name, isKnown ? nameof(AccessKind.Unimplemented) : Numbers.Text(access), isKnown ? "it is for whole registers; Reserved is for bits" : "there is no such mode");
            return null;
        }

        ulong reset = attribute.Bits("Reset");
        ulong ones = Numbers.Ones(high - low + 1);
        if ((reset & ~ones) != 0)
        {
            mistakes.Add(RegisterDiagnostics.Reset, attribute.Location, name, Numbers.Hex(reset), Numbers.Hex(reset & ~ones), "are outside the field; it counts from the field's lowest bit");
            return null;
        }

        FieldKind? kind = Kind(property, attribute, register, name, high - low + 1, mistakes, out EnumValueModel[] values);
        return kind is null ? null : new FieldModel(
            shape,
            name,
            attribute.Text("Description") ?? "",
            high,
            low,
            (AccessKind)access,
            reset,
            kind.Value,
            kind == FieldKind.Enum ? property.Type.Name : "",
            new EquatableArray<EnumValueModel>(values));
    }

    private static FieldKind? Kind(IPropertySymbol property, AttributeReader attribute, RegisterModel register, string name, int bits, MistakeList mistakes, out EnumValueModel[] values)
    {
        ITypeSymbol type = property.Type;
        values = [];
        string? why = null;
        FieldKind kind = FieldKind.Integer;
        if (register.IsArray)
        {
            kind = FieldKind.Array;
            bool fits = type is INamedTypeSymbol named && named.OriginalDefinition.ToDisplayString() == ArrayType && named.TypeArguments[0].ToDisplayString() == register.Type;
            why = fits && property.SetMethod is null ? null : $"'{register.Name}' is an array, so the field must be 'FieldArray<{register.Type}> {property.Name} {{ get; }}'";
        }
        else if (type.SpecialType == SpecialType.System_Boolean)
        {
            kind = FieldKind.Bool;
            why = bits == 1 ? null : "bool is for one bit; take an unsigned integer or an enum";
        }
        else if (type.TypeKind == TypeKind.Enum)
        {
            kind = FieldKind.Enum;
            values = [.. type.GetMembers().OfType<IFieldSymbol>().Where(static field => field.HasConstantValue).Select(static field => new EnumValueModel(field.Name, ToBits(field.ConstantValue!)))];
            ulong ones = Numbers.Ones(bits);
            EnumValueModel? large = values.FirstOrDefault(value => value.Value > ones);
            int room = Width(((INamedTypeSymbol)type).EnumUnderlyingType!.SpecialType);
            why = large is not null ? $"its value {large.Name} does not fit" : room < bits ? "its underlying type is too narrow" : null;
        }
        else
        {
            int room = Width(type.SpecialType);
            why = room == 0 || type.SpecialType is SpecialType.System_SByte or SpecialType.System_Int16 or SpecialType.System_Int32 or SpecialType.System_Int64
                ? "bool, byte, ushort, uint, ulong or an enum are accepted"
                : room < bits ? "it is too narrow" : null;
        }

        if (why is null)
        {
            return kind;
        }

        mistakes.Add(RegisterDiagnostics.FieldType, attribute.Location, name, Numbers.Text(bits), type.ToDisplayString(), why);
        return null;
    }

    private static int Width(SpecialType type) => type switch
    {
        SpecialType.System_Byte or SpecialType.System_SByte => 8,
        SpecialType.System_UInt16 or SpecialType.System_Int16 => 16,
        SpecialType.System_UInt32 or SpecialType.System_Int32 => 32,
        SpecialType.System_UInt64 or SpecialType.System_Int64 => 64,
        _ => 0,
    };

    private static ulong ToBits(object value) => value is ulong bits ? bits : unchecked((ulong)Convert.ToInt64(value, CultureInfo.InvariantCulture));
}
