using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Vfio.Run;

/// <summary>How a structure of the user interface is told: <c>{argsz=32, flags=0, …}</c>, with names where values have some.</summary>
internal sealed class StructureText
{
    private const DynamicallyAccessedMemberTypes Fields = DynamicallyAccessedMemberTypes.PublicFields | DynamicallyAccessedMemberTypes.NonPublicFields;
    private readonly Field[] _fields;

    private StructureText(int size, Field[] fields)
    {
        Size = size;
        _fields = fields;
    }

    /// <summary>Length in bytes of the whole structure. Programs may give less: what their <c>argsz</c> says.</summary>
    public int Size { get; }

    /// <summary>Makes the text of a structure.</summary>
    /// <typeparam name="T">The structure.</typeparam>
    /// <param name="symbols">The names of values.</param>
    public static StructureText Of<[DynamicallyAccessedMembers(Fields)] T>(params FieldSymbols[] symbols)
        where T : unmanaged
        => new(Unsafe.SizeOf<T>(),
        [
            .. typeof(T).GetFields(BindingFlags.Public | BindingFlags.Instance)
                .Where(static field => field.FieldType.IsPrimitive && !field.Name.Contains("reserved", StringComparison.Ordinal))
                .Select(field => new Field(
                    field.Name, (int)Marshal.OffsetOf<T>(field.Name), Type.GetTypeCode(field.FieldType), Array.Find(symbols, symbol => symbol.Field == field.Name))),
        ]);

    /// <summary>Writes a structure.</summary>
    /// <param name="text">Where to.</param>
    /// <param name="bytes">As much of the structure as the program has; fields that lie beyond are left out.</param>
    /// <param name="more">What follows the fields.</param>
    public void Write(StringBuilder text, ReadOnlySpan<byte> bytes, string? more = null)
    {
        text.Append('{');
        foreach (Field field in _fields)
        {
            if (field.End > bytes.Length)
            {
                break;
            }

            text.Append(text[^1] == '{' ? string.Empty : ", ").Append(field.Name).Append('=');
            field.Write(text, bytes[field.Offset..]);
        }

        text.Append(more).Append('}');
    }

    private sealed record Field(string Name, int Offset, TypeCode Type, FieldSymbols? Symbols)
    {
        public int End => Offset + Type switch
        {
            TypeCode.Byte => 1,
            TypeCode.UInt16 or TypeCode.Int16 => 2,
            TypeCode.UInt32 or TypeCode.Int32 => 4,
            _ => 8,
        };

        public void Write(StringBuilder text, ReadOnlySpan<byte> bytes)
        {
            ulong value = (End - Offset) switch
            {
                1 => bytes[0],
                2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
                4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
                _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            };
            if (Symbols is not null)
            {
                Symbols.Write(text, value);
            }
            else if (Type == TypeCode.Int32)
            {
                text.Append((int)value);
            }
            else
            {
                // 64 bits are addresses and lengths.
                text.Append(Type == TypeCode.UInt64 && value != 0 ? $"0x{value:x}" : value.ToString(CultureInfo.InvariantCulture));
            }
        }
    }
}
