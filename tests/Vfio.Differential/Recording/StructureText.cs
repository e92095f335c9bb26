using System.Buffers.Binary;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vfio.Differential;

/// <summary>The fields of ABI structures as text, by their C names.</summary>
/// <param name="names">Says numbers that differ from run to run by their name: descriptors, addresses.</param>
internal sealed class StructureText(Func<string, ulong, string?> names)
{
    /// <summary>All fields.</summary>
    public List<KeyValuePair<string, string>> Fields<T>(in T structure)
        where T : unmanaged
    {
        List<KeyValuePair<string, string>> fields = [];
        Append(fields, typeof(T), MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in structure)), "");
        return fields;
    }

    /// <summary>A number: small ones decimal, others hexadecimal, and by name where it has one.</summary>
    public string Number(string field, ulong value)
        => names(field, value) ?? (value < 100 ? value.ToString(CultureInfo.InvariantCulture) : $"0x{value:x}");

    private void Append(List<KeyValuePair<string, string>> fields, Type type, ReadOnlySpan<byte> bytes, string prefix)
    {
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Instance))
        {
            int offset = (int)Marshal.OffsetOf(type, field.Name);
            string name = prefix + field.Name;
            if (field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer)
            {
                int length = buffer.Length * Marshal.SizeOf(buffer.ElementType);
                fields.Add(new KeyValuePair<string, string>(name, Convert.ToHexStringLower(bytes.Slice(offset, length))));
            }
            else if (field.FieldType.IsPrimitive)
            {
                fields.Add(new KeyValuePair<string, string>(name, Number(field.Name, Load(field.FieldType, bytes[offset..]))));
            }
            else
            {
                Append(fields, field.FieldType, bytes.Slice(offset, Marshal.SizeOf(field.FieldType)), $"{name}.");
            }
        }
    }

    private static ulong Load(Type type, ReadOnlySpan<byte> bytes) => Marshal.SizeOf(type) switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };
}
