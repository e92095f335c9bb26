using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Reads what registers and fields have in common: a partial property.</summary>
internal static class PropertyReader
{
    private static readonly SymbolDisplayFormat s_type = SymbolDisplayFormat.FullyQualifiedFormat;

    public static string TypeName(ITypeSymbol type) => type.ToDisplayString(s_type);

    /// <summary>The property, or null after reporting why it is unusable.</summary>
    public static PropertyModel? Read(IPropertySymbol property, MistakeList mistakes, CancellationToken cancellation)
    {
        string? why = null;
        if (property.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(cancellation) is not PropertyDeclarationSyntax syntax || !syntax.Modifiers.Any(SyntaxKind.PartialKeyword))
        {
            why = "it must be a partial property, as in 'public partial uint Status { get; set; }'";
        }
        else if (syntax.Modifiers.FirstOrDefault(static modifier => modifier.Kind() is not (SyntaxKind.PartialKeyword or SyntaxKind.PublicKeyword or SyntaxKind.InternalKeyword or SyntaxKind.ProtectedKeyword or SyntaxKind.PrivateKeyword)) is { RawKind: not 0 } modifier)
        {
            why = $"the modifier '{modifier.Text}' has no meaning here";
        }
        else if (property.PartialImplementationPart is not null)
        {
            why = "it has a body, which is what is generated; leave it out and use hooks";
        }
        else if (property.GetMethod is null || property.SetMethod is { IsInitOnly: true })
        {
            why = "it needs a get accessor, and no init";
        }

        if (why is not null)
        {
            mistakes.Add(RegisterDiagnostics.UnusableProperty, property.Locations[0], property.Name, why);
            return null;
        }

        string set = property.SetMethod is { } setter ? Accessibility(setter, property) : "";
        return new PropertyModel(property.Name, TypeName(property.Type), Visibility(property.DeclaredAccessibility), Accessibility(property.GetMethod!, property), property.SetMethod is null ? null : set);
    }

    public static string Visibility(Accessibility accessibility) => accessibility switch
    {
        Microsoft.CodeAnalysis.Accessibility.Public => "public ",
        Microsoft.CodeAnalysis.Accessibility.Internal => "internal ",
        Microsoft.CodeAnalysis.Accessibility.Protected => "protected ",
        Microsoft.CodeAnalysis.Accessibility.ProtectedOrInternal => "protected internal ",
        Microsoft.CodeAnalysis.Accessibility.ProtectedAndInternal => "private protected ",
        _ => "private ",
    };

    private static string Accessibility(IMethodSymbol accessor, IPropertySymbol property)
        => accessor.DeclaredAccessibility == property.DeclaredAccessibility ? "" : Visibility(accessor.DeclaredAccessibility);
}
