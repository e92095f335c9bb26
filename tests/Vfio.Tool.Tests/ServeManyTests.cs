using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Vfio.User;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio serve --config</c> and what looks after it: SIGHUP, <c>vfio ps</c>, a service manager.</summary>
public sealed class ServeManyTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly ScratchSockets _sockets = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _sockets.Dispose();

    [Fact]
    public async Task Hangup_adds_removes_and_changes_devices_and_leaves_the_others_alone()
    {
        Configure(("stays", "edu", ""), ("goes", "edu", ""), ("changes", "serial", "\"ports\": 1"));
        using ToolProcess server = ToolProcess.Start("serve", "--config", _sockets["host.json"]);
        for (int i = 0; i < 3; i++)
        {
            await server.WaitUntilListeningAsync();
        }

        using VfioUserConnection stays = VfioUserConnection.Connect(_sockets["stays"]);
        stays.Bar(0).Write32(4, 0x1234);
        Assert.Equal(8ul, BarOf("changes"));

        Configure(("stays", "edu", ""), ("changes", "serial", "\"ports\": 2"), ("comes", "edu", ""));
        server.Signal("HUP");
        string[] said = [(await server.ReadLineAsync())!, (await server.ReadLineAsync())!, (await server.ReadLineAsync())!, (await server.ReadLineAsync())!];
        Assert.Equal(
            [$"listening {_sockets["changes"]}", $"listening {_sockets["comes"]}", $"removed {_sockets["changes"]}", $"removed {_sockets["goes"]}"],
            said.Order(StringComparer.Ordinal));
        Assert.Equal(16ul, BarOf("changes"));
        Assert.Equal(1ul << 20, BarOf("comes"));
        Assert.False(File.Exists(_sockets["goes"]));
        Assert.Equal(~0x1234u, stays.Bar(0).Read32(4));
        Assert.True(stays.IsConnected);

        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
        Assert.Equal(string.Empty, server.Error);
    }

    [Fact]
    public async Task Hangup_with_a_mistake_in_the_file_changes_nothing_and_says_so()
    {
        Configure(("a", "edu", ""));
        using ToolProcess server = ToolProcess.Start("serve", "--config", _sockets["host.json"]);
        await server.WaitUntilListeningAsync();
        File.WriteAllText(_sockets["host.json"], "{\"devices\": [{\"model\": \"edu\", \"socketPath\": 5}]}");
        server.Signal("HUP");
        await UntilAsync(() => server.Error.Contains("nothing was changed", StringComparison.Ordinal));
        Assert.Contains("\"socketPath\" of a device is a text", server.Error, StringComparison.Ordinal);

        // A device that cannot be started is told, and the others are there.
        Configure(("a", "edu", ""), ("no/such/folder", "edu", ""), ("b", "edu", ""));
        server.Signal("HUP");
        Assert.Equal($"listening {_sockets["b"]}", await server.ReadLineAsync());
        Assert.Contains("no/such/folder: ", server.Error, StringComparison.Ordinal);
        Assert.Equal(1ul << 20, BarOf("a"));
    }

    [Theory]
    [InlineData("""{"devices": [{"model": "edu", "socketPath": "/tmp/x"}, {"model": "edu", "socketPath": "/tmp/x"}]}""", "two devices")]
    [InlineData("""{"devices": [{"model": "edu"}]}""", "no \"socketPath\"")]
    [InlineData("""{"devices": [{"socketPath": "/tmp/x"}]}""", "has a \"model\"")]
    [InlineData("""{"devices": []}""", "describes no device")]
    [InlineData("""{"devices": [7]}""", "a device is an object")]
    [InlineData("""{"devices": [{"model": "toaster", "socketPath": "/tmp/x"}]}""", "no device model 'toaster'")]
    [InlineData("{", "host.json")]
    public async Task Wrong_file_is_wrong_use_with_the_reason(string json, string reason)
    {
        File.WriteAllText(_sockets["host.json"], json);
        ToolResult result = await ToolProcess.RunAsync("serve", "--config", _sockets["host.json"]);
        Assert.Equal(2, result.Status);
        Assert.Contains(reason, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ps_lists_devices_with_client_rate_and_memory()
    {
        Configure(("first", "edu", ""), ("second", "edu", ""));
        using ToolProcess server = ToolProcess.Start("serve", "--config", _sockets["host.json"]);
        await server.WaitUntilListeningAsync();
        await server.WaitUntilListeningAsync();
        using VfioUserConnection client = VfioUserConnection.Connect(_sockets["second"]);
        using DmaBuffer buffer = client.AllocateDma(3 * 4096);
        using CancellationTokenSource done = new();
        Task traffic = Task.Run(() => { while (!done.IsCancellationRequested) { _ = client.Bar(0).Read32(0); } }, Stop);

        JsonObject host = await FindAsync(server.Id, "ps", "--json", "--interval", "200");
        await done.CancelAsync();
        await traffic;
        JsonObject[] devices = [.. host["devices"]!.AsArray().OfType<JsonObject>()];
        Assert.Equal(["first", "second"], devices.Select(static device => (string)device["name"]!));
        Assert.Null(devices[0]["client"]);
        Assert.Equal(Environment.ProcessId, (int)devices[1]["client"]!["process"]!);
        Assert.Equal((1, 3 * 4096), ((int)devices[1]["dmaAreas"]!, (int)devices[1]["dmaBytes"]!));
        JsonNode dma = devices[1]["dma"]!;
        Assert.Equal((1, 3 * 4096), ((int)dma["mapped"]!["areas"]!, (int)dma["mapped"]!["bytes"]!));
        Assert.Equal((0, 0, 1, 0), ((int)dma["descriptor"]!["areas"]!, (int)dma["message"]!["areas"]!, (int)dma["mappings"]!, (int)dma["descriptors"]!));
        Assert.True((double)devices[1]["messagesPerSecond"]! > 100, devices[1].ToJsonString());
        Assert.Equal(_sockets["second"], (string?)devices[1]["place"]);

        ToolResult plain = await ToolProcess.RunAsync("ps", "--interval", "0");
        Assert.Equal(0, plain.Status);
        Assert.Contains(_sockets["first"], plain.Output, StringComparison.Ordinal);
        Assert.Contains(" 1 mapped ", plain.Output, StringComparison.Ordinal);

        // What it needs is less than what it has, and the garbage of a start is some.
        long collected = (long)(await FindAsync(server.Id, "ps", "--json", "--interval", "0", "--collect"))["managedBytes"]!;
        Assert.InRange(collected, 1, (long)host["managedBytes"]! - 1);
        Assert.InRange(collected, 1, 2 << 20);

        // A process that was killed leaves a socket, which is nobody.
        server.Signal("KILL");
        await server.WaitAsync();
        Assert.DoesNotContain(_sockets["first"], (await ToolProcess.RunAsync("ps", "--interval", "0")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Service_manager_gives_the_sockets_and_hears_that_they_are_served()
    {
        using Socket manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(_sockets["notify"]));
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(_sockets["given"]));
        listener.Listen(4);
        File.WriteAllText(_sockets["host.json"], "{\"devices\": [{\"name\": \"given\", \"model\": \"edu\"}]}");
        int number = (int)listener.Handle;
        ToolProcess server;
        using (InheritedDescriptor.Keep(number))
        {
            server = ToolProcess.StartShell(
                $"exec 3<&{number} {number}<&-; export NOTIFY_SOCKET={_sockets["notify"]} LISTEN_FDS=1 LISTEN_FDNAMES=given LISTEN_PID=$$; exec \"$VFIO\" serve --config {_sockets["host.json"]}");
        }

        using (server)
        {
            Assert.Equal("fd 3", await server.WaitUntilListeningAsync());
            Assert.Equal("READY=1", await HearAsync(manager));
            Assert.Equal(1ul << 20, BarOf("given"));
            server.Signal("HUP");
            Assert.StartsWith("RELOADING=1\nMONOTONIC_USEC=", await HearAsync(manager), StringComparison.Ordinal);
            Assert.Equal("READY=1", await HearAsync(manager));
            server.Signal("TERM");
            Assert.Equal("STOPPING=1", await HearAsync(manager));
            Assert.Equal(0, await server.WaitAsync());
        }
    }

    private static async Task<string> HearAsync(Socket manager)
    {
        byte[] message = new byte[4096];
        using CancellationTokenSource stop = new(s_patience);
        return Encoding.UTF8.GetString(message, 0, await manager.ReceiveAsync(message, stop.Token));
    }

    private static async Task<JsonObject> FindAsync(int process, params string[] command)
    {
        ToolResult result = await ToolProcess.RunAsync(command);
        Assert.Equal(0, result.Status);
        return JsonNode.Parse(result.Output)!.AsArray().OfType<JsonObject>().Single(host => (int)host["process"]! == process);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource stop = new(s_patience);
        while (!condition())
        {
            await Task.Delay(10, stop.Token);
        }
    }

    private ulong BarOf(string name)
    {
        using VfioUserConnection client = VfioUserConnection.Connect(_sockets[name]);
        return client.Bar(0).Size;
    }

    private void Configure(params (string Name, string Model, string Settings)[] devices)
        => File.WriteAllText(
            _sockets["host.json"],
            $"{{\"devices\": [{string.Join(", ", devices.Select(device => $"{{\"name\": \"{device.Name}\", \"model\": \"{device.Model}\", \"socketPath\": \"{_sockets[device.Name]}\", \"settings\": {{{device.Settings}}}}}"))}]}}");
}
