using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Vfio.Pci.Generators.Tests;

/// <summary>Runs the generator on sources.</summary>
internal static class Compiler
{
    private static readonly CSharpParseOptions s_options = new(LanguageVersion.CSharp13);
    private static readonly MetadataReference[] s_references =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(':').Select(static path => MetadataReference.CreateFromFile(path)),
    ];

    public static CSharpCompilation Create(params string[] sources) => CSharpCompilation.Create(
        "Dut",
        sources.Select(static source => CSharpSyntaxTree.ParseText("using System; using Vfio.Pci;\n" + source, s_options)),
        s_references,
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));

    public static SyntaxTree Parse(string source) => CSharpSyntaxTree.ParseText(source, s_options);

    public static GeneratorDriver Driver() => CSharpGeneratorDriver.Create(
        [new RegisterFileGenerator().AsSourceGenerator()],
        parseOptions: s_options,
        driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));

    /// <summary>The generator's mistakes, and the compiler's for what it made.</summary>
    public static (string[] Mistakes, Diagnostic[] Errors) Run(string source)
    {
        Driver().RunGeneratorsAndUpdateCompilation(Create(source), out Compilation output, out var diagnostics);
        return ([.. diagnostics.Select(static diagnostic => diagnostic.Id)], [.. output.GetDiagnostics().Where(static diagnostic => diagnostic.Severity == DiagnosticSeverity.Error)]);
    }
}
