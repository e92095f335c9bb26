using System.Net.Sockets;
using Vfio.User;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio serve</c>: what it prints, whom it serves, how it ends.</summary>
public sealed class ServeTests
{
    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    public async Task Signal_ends_it_with_0_and_removes_the_socket(string signal)
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        Assert.Equal(sockets["edu"], await server.WaitUntilListeningAsync());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, new FileInfo(sockets["edu"]).UnixFileMode);
        using (VfioConnection client = await ConnectAsync(sockets["edu"]))
        {
            Assert.Equal(0x010000EDu, client.Bar(0).Read32(0));
            server.Signal(signal);
            Assert.Equal(0, await server.WaitAsync());
        }

        Assert.Equal(string.Empty, server.Error);
        Assert.Empty(sockets.Entries);
    }

    [Fact]
    public async Task Settings_reach_the_device()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "serial", "--socket-path", sockets["s"], "--set", "port0=loop", "--set", "port1=null");
        await server.WaitUntilListeningAsync();
        using VfioConnection client = await ConnectAsync(sockets["s"]);
        Assert.Equal(0x0003, client.Config.Read16(2));
        Assert.Equal(16ul, client.Bar(0).Size);
    }

    [Fact]
    public async Task Pseudo_terminal_of_a_port_is_told_and_carries_bytes()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "serial", "--socket-path", sockets["s"], "--set", "port0=pty");
        await server.WaitUntilListeningAsync();
        System.Text.RegularExpressions.Match told = System.Text.RegularExpressions.Regex.Match(server.Error, "^serial: port0 is (/dev/pts/[0-9]+)$", System.Text.RegularExpressions.RegexOptions.Multiline);
        Assert.True(told.Success, server.Error);
        using VfioConnection client = await ConnectAsync(sockets["s"]);
        using FileStream terminal = new(told.Groups[1].Value, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        client.Bar(0).Write8(0, (byte)'A');
        byte[] received = new byte[1];
        await terminal.ReadExactlyAsync(received, new CancellationTokenSource(TimeSpan.FromSeconds(10)).Token);
        Assert.Equal((byte)'A', received[0]);
    }

    [Fact]
    public async Task Second_client_is_refused_at_once()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        await server.WaitUntilListeningAsync();
        using (VfioConnection first = await ConnectAsync(sockets["edu"]))
        {
            using Socket second = Connect(sockets["edu"]);
            using CancellationTokenSource soon = new(TimeSpan.FromSeconds(5));
            Assert.Equal(0, await second.ReceiveAsync(new byte[1], soon.Token));
            Assert.Equal(0x010000EDu, first.Bar(0).Read32(0));
        }

        // The place is free again.
        using VfioConnection next = await ConnectAsync(sockets["edu"]);
        Assert.Equal(0x010000EDu, next.Bar(0).Read32(0));
    }

    [Fact]
    public async Task Second_client_waits_when_told_so()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"], "--second-client", "wait");
        await server.WaitUntilListeningAsync();
        Task<VfioConnection> second;
        using (VfioConnection first = await ConnectAsync(sockets["edu"]))
        {
            second = Task.Run(() => ConnectAsync(sockets["edu"]));
            await Task.Delay(300);
            Assert.False(second.IsCompleted);
            Assert.Equal(0x010000EDu, first.Bar(0).Read32(0));
        }

        using VfioConnection served = await second.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0x010000EDu, served.Bar(0).Read32(0));
    }

    [Fact]
    public async Task Inherited_listening_socket_is_served()
    {
        using ScratchSockets sockets = new();
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(sockets["edu"]));
        listener.Listen(4);
        int number = (int)listener.Handle;
        ToolProcess server;
        using (InheritedDescriptor.Keep(number))
        {
            server = ToolProcess.Start("serve", "edu", "--fd", $"{number}");
        }

        using (server)
        {
            Assert.Equal($"fd {number}", await server.WaitUntilListeningAsync());
            for (int round = 0; round < 2; round++)
            {
                using VfioConnection client = await ConnectAsync(sockets["edu"]);
                Assert.Equal(0x010000EDu, client.Bar(0).Read32(0));
            }

            server.Signal("TERM");
            Assert.Equal(0, await server.WaitAsync());
        }

        // It is not the server's to remove.
        Assert.Equal(["edu"], sockets.Entries);
    }

    [Fact]
    public async Task Inherited_connected_socket_is_served_until_its_client_goes()
    {
        using ScratchSockets sockets = new();
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(sockets["pair"]));
        listener.Listen(1);
        Task<VfioConnection> connecting = Task.Run(() => ConnectAsync(sockets["pair"]));
        Socket accepted = await listener.AcceptAsync();
        ToolProcess server;
        using (accepted)
        using (InheritedDescriptor.Keep((int)accepted.Handle))
        {
            server = ToolProcess.Start("serve", "edu", "--fd", $"{(int)accepted.Handle}");
        }

        using (server)
        {
            await server.WaitUntilListeningAsync();
            using (VfioConnection client = await connecting)
            {
                Assert.Equal(0x010000EDu, client.Bar(0).Read32(0));
            }

            Assert.Equal(0, await server.WaitAsync());
        }
    }

    [Fact]
    public async Task Configuration_file_serves_several_devices()
    {
        using ScratchSockets sockets = new();
        await File.WriteAllTextAsync(sockets["devices.json"], $$"""
            // Comments and trailing commas are welcome.
            {
              "devices": [
                { "model": "edu", "socketPath": "{{sockets["a"]}}", "settings": { "dma_delay_ms": "1" } },
                { "model": "edu", "socketPath": "{{sockets["b"]}}" },
                { "model": "serial", "socketPath": "{{sockets["c"]}}", "settings": { "ports": 4 } },
              ]
            }
            """);
        using ToolProcess server = ToolProcess.Start("serve", "--config", sockets["devices.json"]);
        foreach ((string name, ushort id) in ((string, ushort)[])[("a", 0x11E8), ("b", 0x11E8), ("c", 0x0004)])
        {
            Assert.Equal(sockets[name], await server.WaitUntilListeningAsync());
            using VfioConnection client = await ConnectAsync(sockets[name]);
            Assert.Equal(id, client.Config.Read16(2));
        }

        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
        Assert.Equal(["devices.json"], sockets.Entries);
    }

    [Fact]
    public async Task Wrong_use_ends_with_2_and_leaves_nothing()
    {
        using ScratchSockets sockets = new();
        string path = sockets["edu"];
        (await ToolProcess.RunAsync("serve", "edo", "--socket-path", path)).ShouldFail(2, "'edo'", "edu", "serial");
        (await ToolProcess.RunAsync("serve", "--socket-path", path)).ShouldFail(2, "edu", "--config");
        (await ToolProcess.RunAsync("serve", "edu")).ShouldFail(2, "--socket-path", "--fd");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--fd", "3")).ShouldFail(2, "--socket-path", "--fd");
        (await ToolProcess.RunAsync("serve", "edu", "--fd", "-1")).ShouldFail(2, "-1");
        (await ToolProcess.RunAsync("serve", "edu", "--fd", "three")).ShouldFail(2, "--fd", "three");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--set", "speed=1")).ShouldFail(2, "speed", "dma_mask");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--set", "dma_mask=lots")).ShouldFail(2, "dma_mask=lots");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--set", "dma_mask")).ShouldFail(2, "KEY=VALUE", "dma_mask");
        (await ToolProcess.RunAsync("serve", "serial", "--socket-path", path, "--set", "ports=3")).ShouldFail(2, "ports=3", "1, 2, 4 or 8");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--client-memory", "mapped")).ShouldFail(2, "--client-memory", "mapped", "safe", "trusted", "nevermap");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--second-client", "queue")).ShouldFail(2, "--second-client", "queue", "refuse", "wait");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", path, "--log-level", "loud")).ShouldFail(2, "--log-level", "loud", "warning");
        (await ToolProcess.RunAsync("serve", "edu", "--config", sockets["absent"])).ShouldFail(2, "--config");
        Assert.Empty(sockets.Entries);
    }

    [Fact]
    public async Task Wrong_configuration_file_is_told_with_its_place()
    {
        using ScratchSockets sockets = new();
        string file = sockets["devices.json"];
        (await ToolProcess.RunAsync("serve", "--config", file)).ShouldFail(2, file);
        foreach ((string text, string says) in ((string, string)[])
            [
                ("{", file),
                ("[]", "devices"),
                ("{}", "devices"),
                ("{ \"devices\": [] }", "devices"),
                ("{ \"devices\": [ 1 ] }", "model"),
                ("{ \"devices\": [ { \"model\": \"edu\" } ] }", "socketPath"),
                ("{ \"devices\": [ { \"model\": \"edo\", \"socketPath\": \"/tmp/x\" } ] }", "edo"),
                ("{ \"devices\": [ { \"model\": \"edu\", \"socketPath\": \"/tmp/x\", \"settings\": { \"speed\": 1 } } ] }", "speed"),
            ])
        {
            await File.WriteAllTextAsync(file, text);
            (await ToolProcess.RunAsync("serve", "--config", file)).ShouldFail(2, says);
        }
    }

    [Fact]
    public async Task Socket_that_cannot_be_made_ends_with_1_and_leaves_nothing()
    {
        using ScratchSockets sockets = new();
        string longPath = Path.Combine(sockets.Folder, new string('x', 108));
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", longPath)).ShouldFail(1, longPath, "107 bytes");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", sockets["no/edu"])).ShouldFail(1, sockets["no/edu"], "directory");
        (await ToolProcess.RunAsync("serve", "edu", "--fd", "99")).ShouldFail(1, "99");
        Assert.Empty(sockets.Entries);

        // What is not a socket stays as it is.
        await File.WriteAllTextAsync(sockets["file"], "precious");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", sockets["file"])).ShouldFail(1, sockets["file"], "there already");
        Assert.Equal("precious", await File.ReadAllTextAsync(sockets["file"]));
        await File.WriteAllTextAsync(sockets["empty"], "");
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", sockets["empty"])).ShouldFail(1, sockets["empty"], "there already");
        Assert.Contains("empty", sockets.Entries);
        Directory.CreateDirectory(sockets["folder"]);
        (await ToolProcess.RunAsync("serve", "edu", "--socket-path", sockets["folder"])).ShouldFail(1, sockets["folder"]);
    }

    [Fact]
    public async Task Path_of_a_living_server_is_refused_and_of_a_dead_one_taken()
    {
        using ScratchSockets sockets = new();
        using (ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]))
        {
            await server.WaitUntilListeningAsync();
            (await ToolProcess.RunAsync("serve", "edu", "--socket-path", sockets["edu"])).ShouldFail(1, sockets["edu"], "Another server");
            using (VfioConnection client = await ConnectAsync(sockets["edu"]))
            {
                Assert.Equal(0x010000EDu, client.Bar(0).Read32(0));
            }

            server.Signal("KILL");
            await server.WaitAsync();
        }

        Assert.Equal(["edu"], sockets.Entries);
        using ToolProcess next = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        await next.WaitUntilListeningAsync();
        using VfioConnection again = await ConnectAsync(sockets["edu"]);
        Assert.Equal(0x010000EDu, again.Bar(0).Read32(0));
    }

    [Fact]
    public async Task Failure_of_one_device_of_several_takes_the_others_back()
    {
        using ScratchSockets sockets = new();
        await File.WriteAllTextAsync(sockets["devices.json"], $$"""
            { "devices": [ { "model": "edu", "socketPath": "{{sockets["a"]}}" }, { "model": "edu", "socketPath": "{{sockets["no/b"]}}" } ] }
            """);
        ToolResult result = await ToolProcess.RunAsync("serve", "--config", sockets["devices.json"]);
        Assert.Equal(1, result.Status);
        Assert.Contains(sockets["no/b"], result.Error, StringComparison.Ordinal);
        Assert.Equal(["devices.json"], sockets.Entries);
    }

    [Fact]
    public async Task Log_goes_to_standard_error_one_line_a_record()
    {
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"], "--log-level", "information");
        await server.WaitUntilListeningAsync();
        using (VfioConnection first = await ConnectAsync(sockets["edu"]))
        {
            using Socket second = Connect(sockets["edu"]);
            Assert.Equal(0, await second.ReceiveAsync(new byte[1]));
        }

        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
        Assert.Contains("info: Vfio.User.Server[3101] edu: a second client was refused\n", server.Error, StringComparison.Ordinal);
    }

    /// <summary>From exec to the line, of this build, in processor time. The budget of 100 ms is that of the published, precompiled build.</summary>
    [Fact]
    public async Task Listening_comes_soon_after_the_start()
    {
        using ScratchSockets sockets = new();
        List<double> milliseconds = [];
        for (int i = 0; i < 5; i++)
        {
            using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
            await server.WaitUntilListeningAsync();
            milliseconds.Add(server.ProcessorTime.TotalMilliseconds);
            server.Signal("TERM");
            await server.WaitAsync();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"start to listening, processor time: {string.Join(", ", milliseconds.Select(static each => $"{each:f0}"))} ms");
        Assert.True(milliseconds.Min() < 1000, $"the fastest of {milliseconds.Count} starts took processor time of {milliseconds.Min():f0} ms");
    }

    private static async Task<VfioConnection> ConnectAsync(string path) => await new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{path}");

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }
}
