using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Vfio.Architecture.Tests.Api;

/// <summary>Writes what a library offers to its users and heirs: one line a type and one a member, sorted.</summary>
internal static class ApiText
{
    private const BindingFlags Own = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
    private static readonly NullabilityInfoContext s_nullability = new();

    public static string[] Describe(Assembly assembly)
    {
        List<string> lines = [];
        foreach (Type type in assembly.GetTypes().Where(IsVisible).OrderBy(static type => TypeNames.Full(type), StringComparer.Ordinal))
        {
            lines.Add(DescribeType(type));
            lines.AddRange(DescribeMembers(type).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(static line => $"    {line}"));
        }

        return [.. lines];
    }

    private static bool IsVisible(Type type)
        => !type.IsDefined(typeof(CompilerGeneratedAttribute)) && (type.IsPublic || ((type.IsNestedPublic || type.IsNestedFamily || type.IsNestedFamORAssem) && IsVisible(type.DeclaringType!)));

    private static string DescribeType(Type type)
    {
        string name = TypeNames.Full(type);
        if (type.IsEnum)
        {
            string flags = type.IsDefined(typeof(FlagsAttribute)) ? "flags " : string.Empty;
            return $"{flags}enum {name} : {TypeNames.Short(Enum.GetUnderlyingType(type))}";
        }

        if (type.BaseType == typeof(MulticastDelegate))
        {
            return $"delegate {Parameterized(type.GetMethod("Invoke")!, name)}";
        }

        bool isRecord = type.GetMethod("<Clone>$", Own) is not null || type.GetMethod("PrintMembers", Own) is { } print && print.IsDefined(typeof(CompilerGeneratedAttribute));
        string kind = type.IsInterface ? "interface" : type.IsValueType ? "struct" : type is { IsAbstract: true, IsSealed: true } ? "static class" : type.IsAbstract ? "abstract class" : type.IsSealed ? "sealed class" : "class";
        if (type.IsValueType)
        {
            kind = $"{(type.IsDefined(typeof(IsReadOnlyAttribute)) ? "readonly " : string.Empty)}{(type.IsByRefLike ? "ref " : string.Empty)}{kind}";
        }

        IEnumerable<Type> bases = type.GetInterfaces().Except(type.BaseType?.GetInterfaces() ?? []).Where(IsPublicInterface).OrderBy(TypeNames.Short, StringComparer.Ordinal);
        if (type.BaseType is { } parent && parent != typeof(object) && parent != typeof(ValueType))
        {
            bases = bases.Prepend(parent);
        }

        string list = string.Join(", ", bases.Select(TypeNames.Short));
        return $"{(isRecord ? "record " : string.Empty)}{kind} {name}{(list.Length == 0 ? string.Empty : $" : {list}")}";
    }

    private static bool IsPublicInterface(Type type) => type.IsGenericType ? type.GetGenericTypeDefinition().IsVisible : type.IsVisible;

    private static IEnumerable<string> DescribeMembers(Type type)
    {
        if (type.BaseType == typeof(MulticastDelegate))
        {
            yield break;
        }

        foreach (FieldInfo field in type.GetFields(Own).Where(static field => (field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly) && !field.IsSpecialName))
        {
            yield return type.IsEnum
                ? $"{field.Name} = {Convert.ToString(Convert.ChangeType(field.GetRawConstantValue(), Enum.GetUnderlyingType(type), CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)}"
                : $"{(field.IsPublic ? string.Empty : "protected ")}{(field.IsLiteral ? "const " : field.IsStatic ? "static " : string.Empty)}{(field is { IsInitOnly: true } ? "readonly " : string.Empty)}{TypeNames.Short(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {Value(field.GetRawConstantValue())}" : string.Empty)}";
        }

        foreach (PropertyInfo property in type.GetProperties(Own))
        {
            if (DescribeProperty(property) is { } line)
            {
                yield return line;
            }
        }

        foreach (EventInfo declared in type.GetEvents(Own).Where(static declared => IsOffered(declared.AddMethod!)))
        {
            yield return $"{Modifiers(declared.AddMethod!)}event {TypeNames.Short(declared.EventHandlerType!)} {declared.Name}";
        }

        foreach (ConstructorInfo constructor in type.GetConstructors(Own).Where(static constructor => !constructor.IsStatic && IsOffered(constructor) && !IsCopy(constructor)))
        {
            yield return $"{Modifiers(constructor)}{TypeNames.Plain(type)}({Parameters(constructor)})";
        }

        foreach (MethodInfo method in type.GetMethods(Own).Where(static method => IsOffered(method) && !method.IsDefined(typeof(CompilerGeneratedAttribute)) && !method.Name.StartsWith('<')))
        {
            if (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal))
            {
                yield return Modifiers(method) + Parameterized(method, method.Name);
            }
        }
    }

    private static bool IsOffered(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    /// <summary>The constructor that <c>with</c> uses.</summary>
    private static bool IsCopy(ConstructorInfo constructor)
        => constructor.IsFamily && constructor.IsDefined(typeof(CompilerGeneratedAttribute)) && constructor.GetParameters() is [{ } only] && only.ParameterType == constructor.DeclaringType;

    private static string? DescribeProperty(PropertyInfo property)
    {
        MethodInfo? getter = property.GetMethod is { } get && IsOffered(get) ? get : null;
        MethodInfo? setter = property.SetMethod is { } set && IsOffered(set) ? set : null;
        MethodInfo? first = getter ?? setter;
        if (first is null || property.Name == "EqualityContract")
        {
            return null;
        }

        string type = TypeNames.Short(property.PropertyType) + Question(s_nullability.Create(property).ReadState, property.PropertyType);
        string index = property.GetIndexParameters() is { Length: > 0 } parameters ? $"this[{string.Join(", ", parameters.Select(Parameter))}]" : property.Name;
        string required = property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : string.Empty;
        bool isInit = setter?.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) == true;
        string accessors = $"{(getter is null ? string.Empty : "get; ")}{(setter is null ? string.Empty : $"{(setter.IsPublic || !first.IsPublic ? string.Empty : "protected ")}{(isInit ? "init" : "set")}; ")}";
        return $"{Modifiers(first)}{required}{type} {index} {{ {accessors}}}";
    }

    private static string Modifiers(MethodBase method)
    {
        // That everything is public needs no word.
        string access = method.IsPublic ? string.Empty : "protected ";
        if (method.IsStatic || method.DeclaringType!.IsInterface || method is not MethodInfo info)
        {
            return access + (method.IsStatic ? "static " : string.Empty);
        }

        bool isOverride = info.GetBaseDefinition().DeclaringType != info.DeclaringType;
        return access + (info.IsAbstract ? isOverride ? "abstract override " : "abstract "
            : isOverride ? info.IsFinal ? "sealed override " : "override "
            : info is { IsVirtual: true, IsFinal: false } ? "virtual " : string.Empty);
    }

    private static string Parameterized(MethodInfo method, string name)
    {
        string generics = method.IsGenericMethodDefinition ? $"<{string.Join(", ", method.GetGenericArguments().Select(static argument => argument.Name))}>" : string.Empty;
        string result = TypeNames.Short(method.ReturnType) + Question(s_nullability.Create(method.ReturnParameter).ReadState, method.ReturnType);
        return $"{result} {name}{generics}({Parameters(method)})";
    }

    private static string Parameters(MethodBase method)
        => (method.IsDefined(typeof(ExtensionAttribute)) ? "this " : string.Empty) + string.Join(", ", method.GetParameters().Select(Parameter));

    private static string Parameter(ParameterInfo parameter)
    {
        Type type = parameter.ParameterType;
        string passing = parameter.IsOut ? "out " : parameter.IsIn && type.IsByRef ? "in " : type.IsByRef ? "ref " : parameter.IsDefined(typeof(ParamArrayAttribute)) ? "params " : string.Empty;
        type = type.IsByRef ? type.GetElementType()! : type;
        string question = Question(s_nullability.Create(parameter).WriteState, type);
        return $"{passing}{TypeNames.Short(type)}{question} {parameter.Name}{(parameter.HasDefaultValue ? $" = {Value(parameter.RawDefaultValue)}" : string.Empty)}";
    }

    private static string Question(NullabilityState state, Type type) => state == NullabilityState.Nullable && !type.IsValueType ? "?" : string.Empty;

    private static string Value(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        bool flag => flag ? "true" : "false",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
