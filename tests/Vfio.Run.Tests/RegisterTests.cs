using System.Globalization;

namespace Vfio.Run.Tests;

/// <summary>Registers that programs map.</summary>
public sealed class RegisterTests
{
    /// <summary>Each form once on memory and once on registers.</summary>
    [Fact]
    public async Task Instructions_do_on_registers_what_they_do_on_memory()
    {
        RunResult result = await SupervisedRun.RunWithAsync(["--device", "bench@06:0d.0"], [TestPrograms.Get("instructions")]);
        Assert.True(result.Status == 0 && result.Error.Length == 0, $"{result.Status} {result.Output} {result.Error}");
        Assert.InRange(int.Parse(result.Output.Split(' ')[0], CultureInfo.InvariantCulture), 90, 200);
    }

    /// <summary>Every form that the processor has for integers, SSE, AVX, AVX-512 with masks, x87 and MMX, in random states, at six alignments.</summary>
    [Fact]
    public async Task Forms_of_instructions_leave_registers_flags_and_memory_as_on_memory()
    {
        RunResult result = await SupervisedRun.RunWithAsync(["--device", "bench@06:0d.0"], [TestPrograms.Get("forms")]);
        Assert.True(result.Status == 0 && result.Error.Length == 0, $"{result.Status} {result.Output} {result.Error}");
        Assert.Contains(" 0 failures", result.Output, StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper!.WriteLine(result.Output);
    }

    [Fact]
    public async Task Without_traps_no_region_is_offered_for_mapping()
    {
        RunResult result = await SupervisedRun.RunWithAsync(["--device", "edu@06:0d.0", "--no-mmio-trap"], [TestPrograms.Get("type1")]);
        Assert.Equal(99, result.Status);
        Assert.Contains("VFIO_REGION_INFO_FLAG_MMAP", result.Output, StringComparison.Ordinal);
    }
}
