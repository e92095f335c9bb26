using System.Runtime.InteropServices;

namespace Vfio.Abi.Tests;

/// <summary>Every structure and number of Vfio.Abi against the C headers and against the tables of the specifications.</summary>
public sealed class AbiTests(ITestOutputHelper output)
{
    private const string Specifications = "specifications.txt";
    private const string Measured = "linux-7.3.txt";

    [Fact]
    public void Every_symbol_agrees_with_headers_or_references()
    {
        IReadOnlyList<AbiSymbol> symbols = AbiSymbols.All;
        IReadOnlyDictionary<string, string> specified = ReferenceTable.Read(Specifications);
        IReadOnlyDictionary<string, string> measured = ReferenceTable.Read(Measured);
        HeaderCheck headers = HeaderCheck.Run(symbols.Where(symbol => symbol.HasHeader));

        List<string> wrong = [.. headers.Disagreements];
        List<string> unverified = [];
        int bySpecification = 0;
        int byMeasurement = 0;
        foreach (AbiSymbol symbol in symbols)
        {
            bool isChecked = headers.Agreed.Contains(symbol.Name);
            if (specified.TryGetValue(symbol.Name, out string? expected))
            {
                bySpecification++;
            }
            else if (measured.TryGetValue(symbol.Name, out expected))
            {
                byMeasurement++;
            }

            if (expected is not null && expected != symbol.Expected)
            {
                wrong.Add($"{symbol.Name}: C# has {symbol.Expected}, the reference {expected}");
            }

            if (!isChecked && expected is null)
            {
                unverified.Add(symbol.Name);
            }
        }

        output.WriteLine($"headers: {HeaderCheck.HeaderDirectory ?? "of this system"}");
        output.WriteLine($"{symbols.Count} symbols in {AbiSymbols.Structures.Count} structures and the constants: {headers.Agreed.Count} agree with the headers, "
            + $"{headers.Unknown.Count} are not in them; {bySpecification} compared with the specifications, {byMeasurement} with the values measured on Linux 7.3");
        Assert.Empty(wrong);
        Assert.Empty(unverified);
        Assert.True(headers.Agreed.Count > 200, "The headers were hardly used.");
        if (HeaderCheck.HeaderDirectory is not null)
        {
            Assert.Empty(headers.Unknown);
        }
    }

    [Fact]
    public void References_name_only_symbols_that_exist()
    {
        HashSet<string> names = [.. AbiSymbols.All.Select(symbol => symbol.Name)];

        Assert.All(ReferenceTable.Read(Specifications, Measured).Keys, name => Assert.Contains(name, names));
    }

    [Fact]
    public void Structures_have_the_same_layout_for_the_runtime_and_for_interop()
    {
        Assert.All(AbiSymbols.Structures, type => Assert.Equal(Marshal.SizeOf(type), AbiSymbols.ManagedSize(type)));
        Assert.All(AbiSymbols.Structures, type => Assert.NotEqual(LayoutKind.Auto, type.StructLayoutAttribute!.Value));
    }

    [Theory]
    [InlineData("vfio_region_info.size", "12/8", "vfio_region_info", "size", null, true)]
    [InlineData("vfio_region_info.size", "16/4", "vfio_region_info", "size", null, true)]
    [InlineData("vfio_device_ioeventfd.fd", "24/4", "vfio_device_ioeventfd", "fd", false, true)]
    [InlineData("vfio_irq_set", "24", "vfio_irq_set", null, null, true)]
    [InlineData("VFIO_DEVICE_GET_INFO", "15210", null, null, null, true)]
    [InlineData("VFIO_DEVICE_API_PCI_STRING", "\"vfio-pcj\"", null, null, null, true)]
    public void Run_wrong_fact_is_a_disagreement(string name, string expected, string? structure, string? field, bool? isSigned, bool hasHeader)
    {
        HeaderCheck check = HeaderCheck.Run([new AbiSymbol(name, expected, structure, field, isSigned, hasHeader)]);

        Assert.Single(check.Disagreements);
        Assert.Empty(check.Agreed);
    }

    [Fact]
    public void Run_symbol_that_headers_lack_is_unknown()
    {
        HeaderCheck check = HeaderCheck.Run(
        [
            new AbiSymbol("vfio_no_such_thing", "8", "vfio_no_such_thing", null, null, true),
            new AbiSymbol("VFIO_NO_SUCH_NUMBER", "1", null, null, null, true),
            new AbiSymbol("vfio_irq_info.nothing", "0/4", "vfio_irq_info", "nothing", false, true),
        ]);

        Assert.Equal(3, check.Unknown.Count);
        Assert.Empty(check.Agreed);
        Assert.Empty(check.Disagreements);
    }
}
