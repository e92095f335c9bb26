using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Vfio.Tool.Tests;

/// <summary>The commands that look and poke: devices, info, read, write, and help.</summary>
public sealed class InspectTests
{
    [Fact]
    public async Task Devices_plain_lists_every_model_and_setting()
    {
        ToolResult result = (await ToolProcess.RunAsync("devices")).ShouldSucceed();
        Assert.Matches("^model +setting +what it is +default$", result.Lines[0]);
        foreach (string word in (string[])["edu", "dma_mask", "dma_delay_ms", "factorial_delay_ms", "serial", "ports", "port0", "nvme", "size", "file"])
        {
            Assert.Contains(result.Lines, line => line.Trim().StartsWith(word, StringComparison.Ordinal));
        }

        Assert.DoesNotContain('\x1b', result.Output);
        Assert.DoesNotContain('│', result.Output);
    }

    [Fact]
    public async Task Devices_json_has_what_the_table_has()
    {
        JsonArray models = JsonNode.Parse((await ToolProcess.RunAsync("devices", "--json")).ShouldSucceed().Output)!.AsArray();
        Assert.Equal(["edu", "serial"], models.Select(static model => model!["name"]!.GetValue<string>()).Take(2));
        Assert.All(models, static model =>
        {
            Assert.NotEmpty(model!["summary"]!.GetValue<string>());
            Assert.All(model["settings"]!.AsArray(), static setting =>
            {
                Assert.NotEmpty(setting!["name"]!.GetValue<string>());
                Assert.NotEmpty(setting["accepts"]!.GetValue<string>());
                Assert.NotEmpty(setting["default"]!.GetValue<string>());
            });
        });
    }

    [Fact]
    public async Task Info_plain_shows_regions_and_interrupts()
    {
        ToolResult result = (await ToolProcess.RunAsync("info", "local:edu")).ShouldSucceed();
        Assert.StartsWith("local:edu  1234:11e8", result.Lines[0], StringComparison.Ordinal);
        Assert.Contains(result.Lines, static line => line.StartsWith("Bar0", StringComparison.Ordinal) && line.Contains("0x100000", StringComparison.Ordinal) && line.Contains("rw", StringComparison.Ordinal));
        Assert.Contains(result.Lines, static line => line.StartsWith("Config", StringComparison.Ordinal) && line.Contains("0x100 ", StringComparison.Ordinal));
        Assert.Contains(result.Lines, static line => line.StartsWith("Msi ", StringComparison.Ordinal) && line.Contains(" 1 ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Info_json_is_complete()
    {
        JsonNode info = JsonNode.Parse((await ToolProcess.RunAsync("info", "local:edu", "--json")).ShouldSucceed().Output)!;
        Assert.Equal("local:edu", info["address"]!.GetValue<string>());
        Assert.Equal("1234:11e8", info["id"]!.GetValue<string>());
        Assert.Contains("Pci", info["flags"]!.GetValue<string>(), StringComparison.Ordinal);
        JsonNode bar = info["regions"]!.AsArray().Single(static region => region!["index"]!.GetValue<int>() == 0)!;
        Assert.Equal("Bar0", bar["name"]!.GetValue<string>());
        Assert.Equal(1 << 20, bar["size"]!.GetValue<int>());
        Assert.Equal("rw", bar["access"]!.GetValue<string>());
        Assert.Empty(bar["mappable"]!.AsArray());
        Assert.Equal(["Intx", "Msi", "Msix", "Error", "Request"], info["interrupts"]!.AsArray().Select(static irq => irq!["name"]!.GetValue<string>()));
        Assert.Equal([1, 1, 0], info["interrupts"]!.AsArray().Take(3).Select(static irq => irq!["count"]!.GetValue<int>()));
    }

    [Theory]
    [InlineData("config", "0", "2", "0x1234")]
    [InlineData("CONFIG", "0x2", "2", "0x11e8")]
    [InlineData("7", "0x8", "1", "0x10")]
    [InlineData("bar0", "0", "4", "0x010000ed")]
    [InlineData("bar0", "0x80", "8", "0x0000000000000000")]
    public async Task Read_prints_the_value_in_its_width(string region, string offset, string width, string value)
        => Assert.Equal(value + "\n", (await ToolProcess.RunAsync("read", "local:edu", region, offset, "--width", width)).ShouldSucceed().Output);

    [Fact]
    public async Task Read_without_width_reads_four_bytes()
        => Assert.Equal("0x11e81234\n", (await ToolProcess.RunAsync("read", "local:edu", "config", "0")).ShouldSucceed().Output);

    [Fact]
    public async Task Read_prints_JSON()
    {
        JsonNode read = JsonNode.Parse((await ToolProcess.RunAsync("read", "local:edu", "bar0", "0", "--json")).ShouldSucceed().Output)!;
        Assert.Equal("0x010000ed", read["value"]!.GetValue<string>());
        Assert.Equal((0, 4), (read["region"]!.GetValue<int>(), read["width"]!.GetValue<int>()));
    }

    [Fact]
    public async Task Write_reaches_the_served_device()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "serial", "--socket-path", sockets["card"], "--set", $"port0=unix:{sockets["line"]}");
        string address = $"unix:{await server.WaitUntilListeningAsync()}";
        using Socket line = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await line.ConnectAsync(new UnixDomainSocketEndPoint(sockets["line"]));

        // The transmit register: what is written there comes out of the line.
        Assert.Equal(string.Empty, (await ToolProcess.RunAsync("write", address, "bar0", "0", "0x41", "--width", "1")).ShouldSucceed().Output);
        Assert.Equal(string.Empty, (await ToolProcess.RunAsync("write", address, "BAR0", "0x0", "66", "--width", "1")).ShouldSucceed().Output);
        byte[] received = new byte[2];
        using CancellationTokenSource timeout = new(TimeSpan.FromSeconds(10));
        int count = await line.ReceiveAsync(received.AsMemory(0, 1), timeout.Token) + await line.ReceiveAsync(received.AsMemory(1, 1), timeout.Token);
        Assert.Equal(2, count);
        Assert.Equal("AB"u8.ToArray(), received);
        Assert.Equal("0x1b36\n", (await ToolProcess.RunAsync("read", address, "config", "0", "--width", "2")).ShouldSucceed().Output);
        string json = (await ToolProcess.RunAsync("info", address, "--json")).ShouldSucceed().Output;
        Assert.Equal("1b36:0002", JsonNode.Parse(json)!["id"]!.GetValue<string>());
    }

    [Fact]
    public async Task Write_can_read_back()
        => Assert.Equal("0xedcba987\n", (await ToolProcess.RunAsync("write", "local:edu", "bar0", "4", "0x12345678", "--read-back")).ShouldSucceed().Output);

    [Fact]
    public async Task Wrong_use_ends_with_2_and_says_what_is_accepted()
    {
        (await ToolProcess.RunAsync("info", "local:edo")).ShouldFail(2, "'edo'", "edu", "serial");
        (await ToolProcess.RunAsync("info", "local:edu,speed=1")).ShouldFail(2, "speed", "dma_mask", "dma_delay_ms", "factorial_delay_ms");
        (await ToolProcess.RunAsync("info", "local:edu,dma_mask=lots")).ShouldFail(2, "dma_mask=lots");
        (await ToolProcess.RunAsync("info", "local:edu,dma_mask")).ShouldFail(2, "dma_mask", "KEY=VALUE");
        (await ToolProcess.RunAsync("info", "/tmp/edu.sock")).ShouldFail(2, "/tmp/edu.sock", "unix:PATH", "local:MODEL");
        (await ToolProcess.RunAsync("info", "unix:")).ShouldFail(2, "unix:PATH");
        (await ToolProcess.RunAsync("info")).ShouldFail(2, "address");
        (await ToolProcess.RunAsync("read", "local:edu", "bar9", "0")).ShouldFail(2, "bar9", "bar0 to bar5", "config");
        (await ToolProcess.RunAsync("read", "local:edu", "bar0", "here")).ShouldFail(2, "here", "0x");
        (await ToolProcess.RunAsync("read", "local:edu", "bar0", "0", "--width", "3")).ShouldFail(2, "--width", "1, 2, 4 or 8", "3");
        (await ToolProcess.RunAsync("read", "local:edu", "bar0", "0", "--width", "wide")).ShouldFail(2, "--width", "1, 2, 4 or 8", "wide");
        (await ToolProcess.RunAsync("write", "local:edu", "bar0", "4", "0x100", "--width", "1")).ShouldFail(2, "0x100", "1 byte", "--width");
        (await ToolProcess.RunAsync("write", "local:edu", "bar0", "4", "-1")).ShouldFail(2, "-1");
        (await ToolProcess.RunAsync("lspci", "local:edu", "-y")).ShouldFail(2, "-y");
        (await ToolProcess.RunAsync("dance")).ShouldFail(2, "dance");
        (await ToolProcess.RunAsync()).ShouldFail(2, "command");
    }

    [Fact]
    public async Task Failed_operations_end_with_1_and_say_why()
    {
        (await ToolProcess.RunAsync("info", "unix:/nonexistent/edu.sock")).ShouldFail(1, "/nonexistent/edu.sock");
        (await ToolProcess.RunAsync("info", $"unix:/tmp/{new string('x', 200)}")).ShouldFail(1, "107");
        (await ToolProcess.RunAsync("read", "local:edu", "bar1", "0")).ShouldFail(1, "Bar1", "it has Bar0, Config");
        (await ToolProcess.RunAsync("read", "local:edu", "bar0", "0x100000")).ShouldFail(1, "0x100000");
        (await ToolProcess.RunAsync("read", "local:edu", "99", "0")).ShouldFail(1, "99");

        // A path with nobody listening, and a plain file.
        using ScratchSockets sockets = new();
        await File.WriteAllTextAsync(sockets["file"], string.Empty);
        (await ToolProcess.RunAsync("info", $"unix:{sockets["file"]}")).ShouldFail(1, sockets["file"]);
        (await ToolProcess.RunAsync("lspci", $"unix:{sockets["absent"]}")).ShouldFail(1, sockets["absent"]);
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("serve", "--help")]
    [InlineData("vm", "--help")]
    [InlineData("lspci", "--help")]
    [InlineData("read", "--help")]
    public async Task Help_is_printed_and_is_a_success(params string[] arguments)
    {
        ToolResult result = (await ToolProcess.RunAsync(arguments)).ShouldSucceed();
        Assert.Matches(@"Usage:\s+vfio", result.Output);
    }

    [Fact]
    public async Task Demo_works_within_seconds_and_leaves_nothing()
    {
        using ScratchSockets sockets = new();
        using ToolProcess demo = ToolProcess.StartShell($"TMPDIR={sockets.Folder} exec \"$VFIO\" demo");
        List<string> lines = [];
        while (await demo.ReadLineAsync() is { } line)
        {
            lines.Add(line);
        }

        Assert.Equal(0, await demo.WaitAsync());
        Assert.Equal(string.Empty, demo.Error);
        Assert.Contains(lines, static line => line.Contains("10! = 3628800", StringComparison.Ordinal));
        Assert.Contains(lines, static line => line.Contains("received 'hello, line'", StringComparison.Ordinal));
        Assert.Contains("All of it worked. Next:", lines);
        // The runtime's own sockets go when the process has gone.
        Assert.DoesNotContain(sockets.Entries, static name => name.StartsWith("vfio", StringComparison.Ordinal));
    }
}
