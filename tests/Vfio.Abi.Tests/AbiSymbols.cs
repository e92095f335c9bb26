using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vfio.Abi.Tests;

/// <summary>Everything public in Vfio.Abi, by reflection, so that nothing can be added without being checked.</summary>
public static class AbiSymbols
{
    private static readonly Type[] s_types = typeof(Errno).Assembly.GetExportedTypes();

    public static IReadOnlyList<Type> Structures { get; } =
        [.. s_types.Where(type => type is { IsValueType: true, IsEnum: false, IsNested: false })];

    public static IReadOnlyList<AbiSymbol> All { get; } =
        [.. Structures.SelectMany(OfStructure), .. s_types.Where(type => type.IsEnum || type is { IsAbstract: true, IsSealed: true }).SelectMany(OfConstants)];

    /// <summary>The size as the runtime lays the type out, which must be what interop would use.</summary>
    public static int ManagedSize(Type structure) =>
        (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(structure).Invoke(null, null)!;

    private static IEnumerable<AbiSymbol> OfStructure(Type type)
    {
        bool hasHeader = !type.Name.StartsWith("vfio_user_", StringComparison.Ordinal) && type != typeof(VfioUserHeader);
        yield return new AbiSymbol(type.Name, $"{Marshal.SizeOf(type)}", type.Name, null, null, hasHeader);
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance))
        {
            long offset = Marshal.OffsetOf(type, field.Name);
            bool? signed = field.FieldType.IsPrimitive ? field.FieldType == typeof(int) || field.FieldType == typeof(long) || field.FieldType == typeof(short) : null;
            yield return new AbiSymbol(
                $"{type.Name}.{field.Name}", $"{offset}/{Marshal.SizeOf(field.FieldType)}", type.Name, field.Name, signed, hasHeader);
        }
    }

    private static IEnumerable<AbiSymbol> OfConstants(Type type)
    {
        bool hasHeader = type == typeof(VfioUapi) || type == typeof(IommufdUapi) || (type == typeof(Errno));
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            Assert.True(field.IsLiteral, $"{type.Name}.{field.Name} is not a constant.");
            if (type == typeof(Errno) && field.Name == nameof(Errno.None))
            {
                continue;
            }

            object value = field.GetRawConstantValue()!;
            string text = value is string s ? $"\"{s}\"" : $"{value}";
            yield return new AbiSymbol(hasHeader ? field.Name : $"{type.Name}.{field.Name}", text, null, null, null, hasHeader);
        }
    }
}
