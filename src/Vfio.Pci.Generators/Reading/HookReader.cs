using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Finds the methods that a register names.</summary>
internal sealed class HookReader(INamedTypeSymbol type, AttributeReader attribute, string register, ITypeSymbol value, bool isArray, MistakeList mistakes)
{
    /// <summary>Finds a hook that gives a value or none.</summary>
    /// <param name="hook">The attribute's argument.</param>
    /// <param name="returns">Whether it returns the register's type.</param>
    /// <param name="least">How many values it must take.</param>
    /// <param name="most">How many values it can take.</param>
    public HookModel? Read(string hook, bool returns, int least, int most)
    {
        if (attribute.Text(hook) is not { } name)
        {
            return null;
        }

        foreach (IMethodSymbol method in type.GetMembers(name).OfType<IMethodSymbol>())
        {
            int values = method.Parameters.Length - (isArray ? 1 : 0);
            bool fits = method is { MethodKind: MethodKind.Ordinary, IsGenericMethod: false }
                && values >= least && values <= most
                && (returns ? Is(method.ReturnType, value) : method.ReturnsVoid)
                && method.Parameters.All(static parameter => parameter.RefKind == RefKind.None)
                && (!isArray || method.Parameters[0].Type.SpecialType == SpecialType.System_Int32)
                && method.Parameters.Skip(isArray ? 1 : 0).All(parameter => Is(parameter.Type, value));
            if (fits)
            {
                return new HookModel(name, values);
            }
        }

        mistakes.Add(RegisterDiagnostics.HookSignature, attribute.Location, hook, register, name, Accepted(name, returns, least, most));
        return null;
    }

    private static bool Is(ITypeSymbol type, ITypeSymbol other) => SymbolEqualityComparer.Default.Equals(type, other);

    private string Accepted(string name, bool returns, int least, int most)
    {
        string text = value.ToDisplayString();
        string[] offered = [$"{text} value", $"{text} old"];
        return string.Join(", ", Enumerable.Range(least, most - least + 1)
            .Select(count => $"'{(returns ? text : "void")} {name}({string.Join(", ", (isArray ? ["int index"] : Array.Empty<string>()).Concat(offered.Take(count)))})'"));
    }
}
