using Microsoft.CodeAnalysis;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.TestUtilities;

namespace Vfio.Pci.Generators.Tests;

/// <summary>Each mistake of a declaration is found, with its id, and nothing is generated.</summary>
public sealed class DiagnosticTests
{
    private const string Good = "[Register(0)] public partial uint A { get; set; }";

    public static TheoryData<string, string> Mistakes => new()
    {
        { "VFIO3001", $"[RegisterFile(\"f\", Size = 16)] class F {{ {Good} }}" },
        { "VFIO3001", $"class O {{ [RegisterFile(\"f\", Size = 16)] partial class F {{ {Good} }} }}" },
        { "VFIO3002", $"[RegisterFile(\"f\", Size = 16)] abstract partial class F {{ {Good} }}" },
        { "VFIO3002", $"[RegisterFile(\"f\", Size = 16)] partial class F<T> {{ {Good} }}" },
        { "VFIO3002", $"[RegisterFile(\"f\", Size = 16)] partial class F : System.Collections.ArrayList {{ {Good} }}" },
        { "VFIO3003", File("[Register(0)] public uint A { get; set; }") },
        { "VFIO3003", File("[Register(0)] public virtual partial uint A { get; set; }") },
        { "VFIO3003", File($"{Good} [Field(nameof(A), 0)] [Register(4)] public partial uint B {{ get; set; }}") },
        { "VFIO3004", File("[Register(0)] public partial int A { get; set; }") },
        { "VFIO3004", File("[Register(0, Count = 2)] public partial Span<bool> A { get; }") },
        { "VFIO3005", File("[Register(2)] public partial uint A { get; set; }") },
        { "VFIO3006", File("[Register(16)] public partial uint A { get; set; }") },
        { "VFIO3006", File("[Register(-4)] public partial uint A { get; set; }") },
        { "VFIO3006", File("[Register(0, Count = 4, Stride = 8)] public partial Span<uint> A { get; }") },
        { "VFIO3007", File($"{Good} [Register(2)] public partial ushort B {{ get; set; }}") },
        { "VFIO3007", File("[Register(0, Count = 2, Stride = 8)] public partial Span<uint> A { get; } [Register(4, Count = 2)] public partial Span<uint> B { get; }") },
        { "VFIO3008", File("[Register(0, Access = (RegisterAccess)77)] public partial uint A { get; set; }") },
        { "VFIO3008", File("[Register(0, Access = RegisterAccess.Reserved)] public partial uint A { get; set; }") },
        { "VFIO3008", File($"{Good} [Field(nameof(A), 0, Access = RegisterAccess.Unimplemented)] public partial bool B {{ get; }}") },
        { "VFIO3009", File("[Register(0, Widths = (RegisterWidths)64)] public partial uint A { get; set; }") },
        { "VFIO3009", File("[Register(0, Widths = RegisterWidths.Qword)] public partial uint A { get; set; }") },
        { "VFIO3010", File("[Register(0, Count = 2)] public partial uint A { get; set; }") },
        { "VFIO3010", File("[Register(0)] public partial Span<uint> A { get; }") },
        { "VFIO3010", File("[Register(0, Count = 2, Stride = 6)] public partial Span<uint> A { get; }") },
        { "VFIO3011", File($"{Good} [Field(nameof(A), 32)] public partial bool B {{ get; }}") },
        { "VFIO3011", File($"{Good} [Field(nameof(A), 0, 3)] public partial byte B {{ get; }}") },
        { "VFIO3012", File($"{Good} [Field(nameof(A), 3, 0)] public partial byte B {{ get; }} [Field(nameof(A), 3)] public partial bool C {{ get; }}") },
        { "VFIO3013", File($"{Good} [Field(\"X\", 0)] public partial bool B {{ get; }}") },
        { "VFIO3014", File($"{Good} [Field(nameof(A), 1, 0)] public partial bool B {{ get; }}") },
        { "VFIO3014", File($"{Good} [Field(nameof(A), 15, 0)] public partial byte B {{ get; }}") },
        { "VFIO3014", File($"{Good} [Field(nameof(A), 1, 0)] public partial E B {{ get; }} public enum E {{ Far = 4 }}") },
        { "VFIO3014", File("[Register(0, Count = 2)] public partial Span<uint> A { get; } [Field(nameof(A), 0)] public partial bool B { get; }") },
        { "VFIO3015", File("[Register(0, Reset = 0x100)] public partial byte A { get; set; }") },
        { "VFIO3015", File("[Register(0, Reset = 2)] public partial uint A { get; set; } [Field(nameof(A), 0)] public partial bool B { get; }") },
        { "VFIO3015", File($"{Good} [Field(nameof(A), 0, Reset = 2)] public partial bool B {{ get; }}") },
        { "VFIO3016", File("[Register(0, AfterWrite = \"None\")] public partial uint A { get; set; }") },
        { "VFIO3016", File("[Register(0, AfterWrite = nameof(M))] public partial uint A { get; set; } void M(int value) { }") },
        { "VFIO3016", File("[Register(0, BeforeRead = nameof(M))] public partial uint A { get; set; } void M() { }") },
        { "VFIO3016", File("[Register(0, Count = 2, AfterWrite = nameof(M))] public partial Span<uint> A { get; } void M(uint value) { }") },
        { "VFIO3017", File("[Register(0, Access = RegisterAccess.ReadOnly, AfterWrite = nameof(M))] public partial uint A { get; } void M() { }") },
        { "VFIO3017", File("[Register(0, Access = RegisterAccess.Unimplemented, AfterRead = nameof(M))] public partial uint A { get; } void M() { }") },
        { "VFIO3018", File($"{Good} [Register(4, Name = \"a\")] public partial uint B {{ get; set; }}") },
        { "VFIO3018", File("[Register(0)] public partial uint Size { get; set; }") },
        { "VFIO3019", $"[RegisterFile(\"f\")] partial class F {{ {Good} }}" },
        { "VFIO3019", $"[RegisterFile(\"8\", Size = 16)] partial class F {{ {Good} }}" },
        { "VFIO3019", "[RegisterFile(\"f\", Size = 16)] partial class F { }" },
        { "VFIO3020", File("[Register(0, Since = 2)] public partial uint A { get; set; }") },
        { "VFIO3020", $"[RegisterFile(\"f\", Size = 16, Version = 0)] partial class F {{ {Good} }}" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Mistake_is_an_error_with_its_id(string id, string source) => Assert.Contains(id, Compiler.Run(source).Mistakes);

    [Fact]
    public void Every_id_has_a_test_and_an_explanation()
    {
        string page = System.IO.File.ReadAllText(Checkout.File("docs/registers.md"));
        string released = System.IO.File.ReadAllText(Checkout.File("src/Vfio.Pci.Generators/AnalyzerReleases.Unshipped.md"));
        HashSet<string> tested = [.. Mistakes.Select(static row => row.Data.Item1)];
        foreach (DiagnosticDescriptor descriptor in RegisterDiagnostics.All)
        {
            Assert.Contains(descriptor.Id, tested);
            Assert.Contains($"| {descriptor.Id} |", page, StringComparison.Ordinal);
            Assert.Contains(descriptor.Id, released, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void All_mistakes_are_reported_together()
        => Assert.Equal(["VFIO3005", "VFIO3006"], Compiler.Run(File("[Register(1)] public partial uint A { get; set; } [Register(32)] public partial uint B { get; set; }")).Mistakes.Order());

    [Fact]
    public void Proper_declaration_compiles_in_a_nested_class_and_without_a_namespace()
    {
        (string[] mistakes, Diagnostic[] errors) = Compiler.Run("partial class O { [RegisterFile(\"f\", Size = 16)] internal sealed partial class F(int x) { " + Good + " public int X => x; } }");

        Assert.Empty(mistakes);
        Assert.Empty(errors);
    }

    private static string File(string members) => $"namespace N {{ [RegisterFile(\"f\", Size = 16)] public sealed partial class F {{ {members} }} }}";
}
