using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;
using Vfio.Pci.Generators.Reading;
using Vfio.Pci.Generators.Writing;

namespace Vfio.Pci.Generators;

/// <summary>Makes the register file of each class with <c>[RegisterFile]</c>.</summary>
/// <remarks>
/// The declaration is read into a model that can be compared, and its mistakes into a list of their own: an edit that changes neither writes
/// no source again, and one that only moves lines reports mistakes anew and writes none.
/// </remarks>
[Generator(LanguageNames.CSharp)]
public sealed class RegisterFileGenerator : IIncrementalGenerator
{
    /// <summary>The step that makes the models, for tests.</summary>
    public const string ModelStep = "RegisterFileModel";

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<ReadResult> results = context.SyntaxProvider.ForAttributeWithMetadataName(
            RegisterFileReader.AttributeName,
            static (node, _) => node is ClassDeclarationSyntax,
            static (attribute, cancellation) => RegisterFileReader.Read(attribute, cancellation));
        context.RegisterSourceOutput(results.SelectMany(static (result, _) => result.Mistakes), static (output, mistake) => output.ReportDiagnostic(mistake.ToDiagnostic()));
        IncrementalValuesProvider<RegisterFileModel> models = results.Select(static (result, _) => result.Model)
            .Where(static model => model is not null)
            .Select(static (model, _) => model!)
            .WithTrackingName(ModelStep);
        context.RegisterSourceOutput(models, static (output, model) =>
        {
            output.AddSource($"{model.FullName}.g.cs", SourceText.From(ClassWriter.Write(model), Encoding.UTF8));
            output.AddSource($"{model.FullName}.h.g.cs", SourceText.From(HeaderWriter.WriteAsComment(model), Encoding.UTF8));
        });
    }
}
