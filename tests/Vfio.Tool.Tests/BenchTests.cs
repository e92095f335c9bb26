using System.Text.Json.Nodes;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio bench</c>.</summary>
public sealed class BenchTests
{
    [Fact]
    public async Task Bench_measures_reads_and_mappings_and_allocates_nothing_for_a_read()
    {
        JsonArray measurements = JsonNode.Parse((await ToolProcess.RunAsync("bench", "local:edu", "--region", "bar0", "--json")).ShouldSucceed().Output)!.AsArray();
        Assert.Equal(["config read", "bar0 read", "map + unmap 4 KiB"], measurements.Select(static measurement => (string)measurement!["operation"]!));
        Assert.All(measurements, static measurement =>
        {
            Assert.True((long)measurement!["count"]! > 64);
            Assert.InRange((long)measurement["p50Nanoseconds"]!, 1, (long)measurement["maximumNanoseconds"]!);
        });
        Assert.All(measurements.Take(2), static measurement => Assert.InRange((double)measurement!["allocatedBytesEach"]!, 0, 0.5));
    }

    [Fact]
    public async Task Bench_of_a_register_that_is_not_there_fails_with_the_reason()
    {
        ToolResult result = await ToolProcess.RunAsync("bench", "local:edu", "--region", "bar5");
        Assert.Equal(1, result.Status);
        Assert.Contains("read 4 bytes at 0x0 of region Bar5", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bench_over_a_socket_prints_a_table()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        await server.WaitUntilListeningAsync();
        string output = (await ToolProcess.RunAsync("bench", $"unix:{sockets["edu"]}")).ShouldSucceed().Output;
        Assert.StartsWith("operation ", output, StringComparison.Ordinal);
        Assert.Contains("map + unmap 4 KiB", output, StringComparison.Ordinal);
    }
}
