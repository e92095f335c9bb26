using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Vfio.Pci.Generators.Tests;

public sealed class IncrementalTests
{
    private const string Declaration = "[RegisterFile(\"f\", Size = 16)] public sealed partial class F { [Register(0)] public partial uint A { get; set; } }";

    [Fact]
    public void Change_in_another_file_generates_nothing_again()
    {
        CSharpCompilation compilation = Compiler.Create(Declaration, "class Other { }");
        GeneratorDriver driver = Compiler.Driver().RunGenerators(compilation);

        driver = driver.RunGenerators(compilation.ReplaceSyntaxTree(compilation.SyntaxTrees[1], Compiler.Parse("class Other { int changed; }")));

        AssertReasons(driver, IncrementalStepRunReason.Cached, IncrementalStepRunReason.Unchanged);
    }

    [Fact]
    public void Lines_that_move_generate_nothing_again()
    {
        CSharpCompilation compilation = Compiler.Create(Declaration);
        GeneratorDriver driver = Compiler.Driver().RunGenerators(compilation);

        driver = driver.RunGenerators(compilation.ReplaceSyntaxTree(compilation.SyntaxTrees[0], Compiler.Parse("using System; using Vfio.Pci;\n\n// Moved.\n\n" + Declaration)));

        AssertReasons(driver, IncrementalStepRunReason.Cached, IncrementalStepRunReason.Unchanged);
    }

    [Fact]
    public void Change_of_a_register_generates_again()
    {
        CSharpCompilation compilation = Compiler.Create(Declaration);
        GeneratorDriver driver = Compiler.Driver().RunGenerators(compilation);

        driver = driver.RunGenerators(compilation.ReplaceSyntaxTree(compilation.SyntaxTrees[0], Compiler.Parse("using System; using Vfio.Pci;\n" + Declaration.Replace("[Register(0)]", "[Register(4)]", StringComparison.Ordinal))));

        AssertReasons(driver, IncrementalStepRunReason.Modified);
    }

    private static void AssertReasons(GeneratorDriver driver, params IncrementalStepRunReason[] reasons)
    {
        GeneratorRunResult result = driver.GetRunResult().Results.Single();
        var steps = result.TrackedSteps[RegisterFileGenerator.ModelStep].Concat(result.TrackedOutputSteps.SelectMany(static step => step.Value)).SelectMany(static step => step.Outputs).ToArray();
        Assert.NotEmpty(steps);
        Assert.All(steps, step => Assert.Contains(step.Reason, reasons));
    }
}
