namespace Vfio.Architecture.Tests.Api;

/// <summary>Types as C# writes them.</summary>
internal static class TypeNames
{
    private static readonly Dictionary<Type, string> s_keywords = new()
    {
        [typeof(void)] = "void",
        [typeof(object)] = "object",
        [typeof(string)] = "string",
        [typeof(bool)] = "bool",
        [typeof(char)] = "char",
        [typeof(byte)] = "byte",
        [typeof(sbyte)] = "sbyte",
        [typeof(short)] = "short",
        [typeof(ushort)] = "ushort",
        [typeof(int)] = "int",
        [typeof(uint)] = "uint",
        [typeof(long)] = "long",
        [typeof(ulong)] = "ulong",
        [typeof(nint)] = "nint",
        [typeof(nuint)] = "nuint",
        [typeof(float)] = "float",
        [typeof(double)] = "double",
        [typeof(decimal)] = "decimal",
    };

    /// <summary>With its namespace.</summary>
    public static string Full(Type type) => type.DeclaringType is { } outer ? $"{Full(outer)}.{WithArguments(type)}" : $"{type.Namespace}.{WithArguments(type)}";

    /// <summary>Without its namespace.</summary>
    public static string Short(Type type)
    {
        if (s_keywords.TryGetValue(type, out string? keyword))
        {
            return keyword;
        }

        if (type.IsByRef)
        {
            return $"ref {Short(type.GetElementType()!)}";
        }

        if (type.IsArray)
        {
            return $"{Short(type.GetElementType()!)}[{new string(',', type.GetArrayRank() - 1)}]";
        }

        if (type.IsPointer)
        {
            return $"{Short(type.GetElementType()!)}*";
        }

        return Nullable.GetUnderlyingType(type) is { } underlying ? $"{Short(underlying)}?"
            : type.IsGenericParameter || type.DeclaringType is null ? WithArguments(type) : $"{Plain(type.DeclaringType)}.{WithArguments(type)}";
    }

    /// <summary>The name alone.</summary>
    public static string Plain(Type type) => type.Name.Split('`')[0];

    private static string WithArguments(Type type)
        => type.IsGenericType && type.Name.Contains('`', StringComparison.Ordinal) ? $"{Plain(type)}<{string.Join(", ", type.GetGenericArguments().Select(Short))}>" : Plain(type);
}
