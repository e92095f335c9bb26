using Microsoft.CodeAnalysis;

namespace Vfio.Pci.Generators.Reading;

/// <summary>The arguments of an attribute.</summary>
internal sealed class AttributeReader(AttributeData attribute)
{
    public Location? Location => attribute.ApplicationSyntaxReference is { } syntax ? syntax.SyntaxTree.GetLocation(syntax.Span) : null;

    public int ArgumentCount => attribute.ConstructorArguments.Length;

    public static AttributeReader? Find(ISymbol symbol, string name)
        => symbol.GetAttributes().FirstOrDefault(attribute => attribute.AttributeClass?.ToDisplayString() == name) is { } found ? new AttributeReader(found) : null;

    public bool Has(string name) => attribute.NamedArguments.Any(argument => argument.Key == name);

    public string Text(int index) => Value(index) as string ?? "";

    public long Number(int index) => ToNumber(Value(index)) ?? 0;

    public string? Text(string name) => Value(name) as string;

    public long Number(string name, long otherwise = 0) => ToNumber(Value(name)) ?? otherwise;

    public ulong Bits(string name) => Value(name) is ulong value ? value : 0;

    private static long? ToNumber(object? value) => value switch
    {
        int number => number,
        long number => number,
        _ => null,
    };

    private object? Value(int index) => index < attribute.ConstructorArguments.Length ? attribute.ConstructorArguments[index].Value : null;

    private object? Value(string name) => attribute.NamedArguments.FirstOrDefault(argument => argument.Key == name).Value is { Kind: not TypedConstantKind.Error } found ? found.Value : null;
}
