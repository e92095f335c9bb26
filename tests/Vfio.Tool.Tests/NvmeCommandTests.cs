using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio nvme</c> on the device model, in process and across a socket.</summary>
public sealed class NvmeCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vfio-nvme-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Identify_plain_shows_controller_and_namespaces()
    {
        ToolResult result = (await ToolProcess.RunAsync("nvme", "local:nvme,size=32M,block=4096,serial=ABC", "identify")).ShouldSucceed();
        Assert.Matches("^serial +ABC$", result.Lines.Single(static line => line.StartsWith("serial", StringComparison.Ordinal)));
        Assert.Matches("^completions +Msix$", result.Lines.Single(static line => line.StartsWith("completions", StringComparison.Ordinal)));
        Assert.Matches("^1 +8192 +4096 +33554432 .* usable$", result.Lines[^1]);
    }

    [Fact]
    public async Task Identify_json_has_every_namespace()
    {
        JsonNode identity = JsonNode.Parse((await ToolProcess.RunAsync("nvme", "local:nvme,size=16M,namespaces=3", "identify", "--json")).ShouldSucceed().Output)!;
        Assert.Equal("2.0.0", (string?)identity["version"]);
        Assert.True((int)identity["queues"]! >= 1);
        Assert.Equal([1, 2, 3], identity["namespaces"]!.AsArray().Select(static disk => (int)disk!["id"]!));
        Assert.All(identity["namespaces"]!.AsArray(), static disk =>
        {
            Assert.Equal((32768, 512), ((int)disk!["blocks"]!, (int)disk["blockSize"]!));
            Assert.Null(disk["problem"]);
        });
    }

    [Fact]
    public async Task Smart_tells_health()
    {
        ToolResult plain = (await ToolProcess.RunAsync("nvme", "local:nvme", "smart")).ShouldSucceed();
        Assert.Contains(plain.Lines, static line => line.StartsWith("critical warnings", StringComparison.Ordinal) && line.EndsWith("None", StringComparison.Ordinal));
        JsonNode log = JsonNode.Parse((await ToolProcess.RunAsync("nvme", "local:nvme", "smart", "--json")).ShouldSucceed().Output)!;
        Assert.Equal("None", (string?)log["criticalWarnings"]);
        Assert.InRange((int)log["temperatureKelvin"]!, 200, 400);
        Assert.Equal("0", (string?)log["mediaErrors"]);
    }

    [Fact]
    public async Task Data_goes_to_the_namespace_and_comes_back()
    {
        string image = PathOf("disk.img");
        byte[] data = RandomNumberGenerator.GetBytes((3 << 20) + 100);
        await File.WriteAllBytesAsync(PathOf("in"), data, TestContext.Current.CancellationToken);
        string address = $"local:nvme,file={image},size=16M";
        ToolResult written = (await ToolProcess.RunAsync("nvme", address, "write", "--offset", "1M", "--input", PathOf("in"), "--yes")).ShouldSucceed();
        Assert.Equal($"{data.Length} bytes written to namespace 1 from block 2048", written.Lines[0]);

        // What the model has in its file is what the driver was given, and nothing beside it.
        byte[] stored = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
        Assert.True(stored.AsSpan(1 << 20, data.Length).SequenceEqual(data));
        Assert.False(stored.AsSpan(0, 1 << 20).ContainsAnyExcept((byte)0));
        Assert.False(stored.AsSpan((1 << 20) + data.Length).ContainsAnyExcept((byte)0));

        (await ToolProcess.RunAsync("nvme", address, "read", "--offset", "1M", "--length", $"{(3 << 20) + 512}", "--output", PathOf("out"))).ShouldSucceed();
        byte[] back = await File.ReadAllBytesAsync(PathOf("out"), TestContext.Current.CancellationToken);
        Assert.Equal((3 << 20) + 512, back.Length);
        Assert.True(back.AsSpan(0, data.Length).SequenceEqual(data));
    }

    [Fact]
    public async Task Last_block_that_is_not_whole_keeps_the_rest()
    {
        string image = PathOf("disk.img");
        byte[] before = [.. Enumerable.Repeat((byte)0xEE, 1 << 20)];
        await File.WriteAllBytesAsync(image, before, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(PathOf("in"), new byte[700], TestContext.Current.CancellationToken);
        (await ToolProcess.RunAsync("nvme", $"local:nvme,file={image}", "write", "--input", PathOf("in"), "--yes")).ShouldSucceed();
        byte[] stored = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
        Assert.False(stored.AsSpan(0, 700).ContainsAnyExcept((byte)0));
        Assert.False(stored.AsSpan(700).ContainsAnyExcept((byte)0xEE));
    }

    [Fact]
    public async Task Pipes_and_a_socket_work_too()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "nvme", "--socket-path", sockets["nvme"], "--set", "size=16M");
        string address = $"unix:{await server.WaitUntilListeningAsync()}";
        using ToolProcess shell = ToolProcess.StartShell(
            $"""
            set -e -o pipefail
            head -c 2000000 /dev/urandom >'{PathOf("in")}'
            cat '{PathOf("in")}' | "$VFIO" nvme {address} write --yes --offset 64K
            "$VFIO" nvme {address} read --offset 64K --length 2000384 | head -c 2000000 | cmp - '{PathOf("in")}'
            """);
        Assert.Equal("2000000 bytes written to namespace 1 from block 128", await shell.ReadLineAsync());
        Assert.True(await shell.WaitAsync() == 0, shell.Error);
    }

    [Theory]
    [InlineData("local")]
    [InlineData("unix")]
    public async Task Verify_survives_resets(string transport)
    {
        using ScratchSockets sockets = new();
        using ToolProcess? server = transport == "unix" ? ToolProcess.Start("serve", "nvme", "--socket-path", sockets["nvme"]) : null;
        string address = server is null ? "local:nvme" : $"unix:{await server.WaitUntilListeningAsync()}";
        ToolResult result = (await ToolProcess.RunAsync("nvme", address, "verify", "--size", "32M", "--reset-after", "16M", "--yes", "--json")).ShouldSucceed();
        JsonNode verified = JsonNode.Parse(result.Output)!;
        Assert.True((bool)verified["equal"]!);
        Assert.Equal((string?)verified["written"], (string?)verified["read"]);
        Assert.Equal((32 << 20, 2), ((int)verified["bytes"]!, (int)verified["resets"]!));
    }

    [Theory]
    [InlineData("--read", "100")]
    [InlineData("--read", "50", "--yes", "--poll", "--block-size", "16K", "--queues", "1", "--sequential")]
    public async Task Bench_measures(params string[] options)
    {
        ToolResult result = (await ToolProcess.RunAsync(["nvme", "local:nvme", "bench", "--seconds", "1", "--queue-depth", "4", "--json", .. options])).ShouldSucceed();
        JsonNode measured = JsonNode.Parse(result.Output)!;
        Assert.True((double)measured["iops"]! > 0);
        Assert.Equal(4, (int)measured["queueDepth"]!);
        JsonNode latencies = measured["latencyMicroseconds"]!;
        double[] ordered = [.. new[] { "p50", "p90", "p99", "p999", "max" }.Select(name => (double)latencies[name]!)];
        Assert.Equal(ordered.Order(), ordered);
        Assert.True(ordered[0] > 0);

        // What the run itself allocates, whatever the number of operations.
        Assert.InRange((long)measured["allocatedBytes"]!, 0, 1 << 20);
    }

    [Fact]
    public async Task Wrong_use_ends_with_2_and_says_what_is_accepted()
    {
        (await ToolProcess.RunAsync("nvme", "local:nvme", "write")).ShouldFail(2, "--yes");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "verify")).ShouldFail(2, "--yes");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "bench", "--read", "50")).ShouldFail(2, "--yes");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "bench", "--read", "101")).ShouldFail(2, "0 to 100");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "read", "--offset", "100")).ShouldFail(2, "512");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "read", "--offset", "1X")).ShouldFail(2, "1X", "64K");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "read", "--length", "1T")).ShouldFail(2, "67108864");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "read", "--namespace", "2")).ShouldFail(2, "namespace 2", "it has 1");
        (await ToolProcess.RunAsync("nvme", "local:nvme")).ShouldFail(2, "command");
        (await ToolProcess.RunAsync("nvme")).ShouldFail(2, "address");
    }

    [Fact]
    public async Task Failure_ends_with_1_and_says_why()
    {
        (await ToolProcess.RunAsync("nvme", "local:edu", "identify")).ShouldFail(1, "00ff00", "010802");
        await File.WriteAllBytesAsync(PathOf("in"), new byte[2 << 20], TestContext.Current.CancellationToken);
        (await ToolProcess.RunAsync("nvme", "local:nvme,size=1M", "write", "--input", PathOf("in"), "--yes")).ShouldFail(1, "ENOSPC");
        (await ToolProcess.RunAsync("nvme", "local:nvme", "write", "--input", PathOf("none"), "--yes")).ShouldFail(1, "none");
        await File.WriteAllBytesAsync(PathOf("disk.img"), new byte[1 << 20], TestContext.Current.CancellationToken);
        (await ToolProcess.RunAsync("nvme", $"local:nvme,file={PathOf("disk.img")},readonly=on", "write", "--input", PathOf("in"), "--yes")).ShouldFail(1, "write protected");
    }

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);
}
