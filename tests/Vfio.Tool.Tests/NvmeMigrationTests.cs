using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Devices.Nvme.Tests.Migration;
using Vfio.User;

namespace Vfio.Tool.Tests;

/// <summary>A controller that goes from one server process to the next.</summary>
public sealed class NvmeMigrationTests
{
    [Fact]
    public async Task Load_goes_on_with_another_process_and_reads_what_it_wrote()
    {
        using ScratchSockets sockets = new();
        ToolProcess server = await ServeAsync(sockets["0"]);
        NvmeRig rig = new(await ConnectAsync(sockets["0"]), enable: true);
        RawQueue queue = rig.CreateQueue(1, entries: 16);
        var load = new IoLoad(rig, queue);
        for (int move = 1; move <= 3; move++)
        {
            load.AwaitDone(load.Done + 300);
            ToolProcess nextServer = await ServeAsync(sockets[$"{move}"]);
            NvmeRig next = new(await ConnectAsync(sockets[$"{move}"]), enable: false);
            var host = new MovingHost(load, rig, queue);
            host.Begin(next);
            load.AwaitDone(load.Done + 300);
            Assert.NotEqual(0, host.Move(next));
            await rig.DisposeAsync();
            server.Signal("TERM");
            Assert.Equal(0, await server.WaitAsync());
            Assert.Equal(string.Empty, server.Error);
            server.Dispose();
            (rig, queue, server) = (next, queue.On(next, rig), nextServer);
        }

        load.AwaitDone(load.Done + 300);
        await load.EndAsync();
        await rig.DisposeAsync();
        server.Dispose();
    }

    private static async Task<ToolProcess> ServeAsync(string path)
    {
        ToolProcess server = ToolProcess.Start("serve", "nvme", "--socket-path", path, "--set", "size=8M", "--set", "queues=2");
        await server.WaitUntilListeningAsync();
        return server;
    }

    private static async Task<VfioConnection> ConnectAsync(string path) => await new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{path}");
}
