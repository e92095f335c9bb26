using System.Text.Json.Nodes;
using Vfio.Drivers.Edu;
using Vfio.Drivers.Nvme;
using Vfio.User;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio serve --sandbox</c>: drivers notice nothing of it.</summary>
public sealed class ServeSandboxTests : IDisposable
{
    private readonly ScratchSockets _scratch = new();
    private readonly string _disk = Path.Combine(Directory.CreateTempSubdirectory("vfio-disk-").FullName, "image");

    public void Dispose()
    {
        _scratch.Dispose();
        Directory.Delete(Path.GetDirectoryName(_disk)!, recursive: true);
    }

    [Fact]
    public async Task Edu_in_the_sandbox_does_all_that_its_driver_asks()
    {
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--sandbox", "--socket-path", _scratch["edu"]);
        await server.WaitUntilListeningAsync();
        AssertLockedIn(server.Id);
        for (int i = 0; i < 3; i++)
        {
            await DriveAsync("edu", ownMemory: i == 1);
        }

        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
        Assert.Equal(string.Empty, server.Error);
        Assert.Empty(_scratch.Entries);
    }

    [Fact]
    public async Task Nvme_in_the_sandbox_makes_its_file_and_keeps_what_is_written()
    {
        byte[] data = new byte[3 << 20];
        new Random(1).NextBytes(data);

        // The first makes the file, the second finds it.
        for (int run = 0; run < 2; run++)
        {
            using ToolProcess server = ToolProcess.Start("serve", "nvme", "--sandbox", "--set", $"file={_disk}", "--set", "size=16M", "--socket-path", _scratch["nvme"]);
            await server.WaitUntilListeningAsync();
            AssertLockedIn(server.Id);
            await using (VfioConnection connection = VfioUserConnection.Connect(_scratch["nvme"]))
            await using (NvmeController controller = await NvmeController.OpenAsync(connection, new NvmeOptions { AllowWrites = true }, TestContext.Current.CancellationToken))
            {
                NvmeNamespace disk = controller.Namespaces[0];
                byte[] back = new byte[data.Length];
                if (run == 0)
                {
                    await disk.WriteAsync(64, data, force: true);
                    await disk.FlushAsync();
                    await disk.TrimAsync(0, 64);
                    await controller.ResetAsync();
                }

                await disk.ReadAsync(64, back);
                Assert.True(data.AsSpan().SequenceEqual(back));
            }

            server.Signal("TERM");
            Assert.Equal(0, await server.WaitAsync());
            Assert.Equal(string.Empty, server.Error);
        }
    }

    [Fact]
    public async Task Hangup_in_the_sandbox_adds_what_lies_in_its_folders_and_refuses_the_rest()
    {
        Configure("a");
        using ToolProcess server = ToolProcess.Start("serve", "--config", _scratch["host.json"], "--sandbox");
        await server.WaitUntilListeningAsync();
        AssertLockedIn(server.Id);
        string outside = Path.Combine(Path.GetDirectoryName(_disk)!, "b");
        Configure("a", outside, "c");
        server.Signal("HUP");
        Assert.Equal($"listening {_scratch["c"]}", await server.ReadLineAsync());
        Assert.True(SpinWait.SpinUntil(() => server.Error.Contains(outside + ": ", StringComparison.Ordinal), TimeSpan.FromSeconds(10)), server.Error);
        await DriveAsync("a", ownMemory: false);
        await DriveAsync("c", ownMemory: false);
        ToolResult listed = await ToolProcess.RunAsync("ps", "--json", "--interval", "0");
        Assert.Contains(JsonNode.Parse(listed.Output)!.AsArray(), host => (int)host!["process"]! == server.Id);
        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
    }

    /// <summary>Registers, DMA both ways, interrupts and a reset.</summary>
    private async Task DriveAsync(string socket, bool ownMemory)
    {
        await using VfioConnection connection = VfioUserConnection.Connect(_scratch[socket], new VfioUserClientOptions { ShareMemory = !ownMemory });
        await using EduDriver driver = EduDriver.Open(connection);
        Assert.True(driver.CheckLiveness());
        Assert.Equal(3_628_800u, await driver.ComputeFactorialAsync(10, TestContext.Current.CancellationToken));
        using DmaBuffer buffer = driver.AllocateDma(8192);
        new Random(2).NextBytes(buffer.Span[..4096]);
        byte[] sent = buffer.Span[..4096].ToArray();
        await driver.CopyToDeviceAsync(buffer, 4096, TestContext.Current.CancellationToken);
        buffer.Span.Clear();
        await driver.CopyFromDeviceAsync(buffer, 4096, TestContext.Current.CancellationToken);
        Assert.True(buffer.Span[..4096].SequenceEqual(sent));
        Assert.Equal(5u, await driver.RaiseInterruptAsync(5, TestContext.Current.CancellationToken));
        connection.Reset();
    }

    /// <summary>All threads have the filter, and none can gain privileges.</summary>
    private static void AssertLockedIn(int process)
        => Assert.All(Directory.GetDirectories($"/proc/{process}/task"), static task =>
        {
            string[] status = File.ReadAllLines(Path.Combine(task, "status"));
            Assert.Contains("NoNewPrivs:\t1", status);
            Assert.Contains("Seccomp:\t2", status);
        });

    private void Configure(params string[] names)
        => File.WriteAllText(
            _scratch["host.json"],
            $"{{\"devices\": [{string.Join(", ", names.Select(name => $"{{\"name\": \"{name}\", \"model\": \"edu\", \"socketPath\": \"{_scratch[name]}\"}}"))}]}}");
}
