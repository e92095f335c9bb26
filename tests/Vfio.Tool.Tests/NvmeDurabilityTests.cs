using System.Diagnostics;
using Vfio.Devices.Nvme;
using Vfio.Drivers.Nvme;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User;
using DeviceOptions = Vfio.Devices.Nvme.NvmeOptions;
using DriverOptions = Vfio.Drivers.Nvme.NvmeOptions;

namespace Vfio.Tool.Tests;

/// <summary>
/// What was acknowledged as durable is there, whatever happens to the server or to the power. Killing a process does not lose what the kernel
/// has in its page cache, so there are three kinds of tests: the server is killed; a backend with a volatile cache loses its power; and a server
/// whose <c>fdatasync(2)</c> fails must not say that a flush succeeded.
/// </summary>
public sealed class NvmeDurabilityTests
{
    private static readonly VfioUserClientOptions s_client = new() { PostedWrites = true };

    [Fact]
    public async Task Killed_server_has_kept_every_promise()
    {
        // 200 times in the long mode.
        int rounds = ModelRun.IsLong ? 200 : 20;
        int seed = ModelRun.IsLong ? Environment.TickCount : 7;
        Random random = new(seed);
        DurabilityLoad load = new(seed);
        using ScratchSockets scratch = new();
        string image = scratch["disk.img"];
        string socket = scratch["disk.sock"];
        for (int round = 0; round < rounds; round++)
        {
            using ToolProcess server = ToolProcess.Start("serve", "nvme", "--socket-path", socket, "--set", $"file={image}", "--set", $"size={DurabilityLoad.Length}");
            await server.WaitUntilListeningAsync();
            await using VfioUserConnection connection = VfioUserConnection.Connect(socket, s_client);
            await using NvmeController driver = await NvmeController.OpenAsync(connection, new DriverOptions { AllowWrites = true });

            // The next server serves what the last one left.
            byte[] read = new byte[DurabilityLoad.Length];
            await driver.Namespaces[0].ReadAsync(0, read);
            AssertKept(load.Check(read), seed, round);

            long before = load.Promises;
            using CancellationTokenSource ending = new();
            Task writers = load.RunAsync(driver.Namespaces[0], ending.Token);
            await Task.WhenAny(writers, Task.Delay(random.Next(10, 120)));
            await WaitForPromisesAsync(load, before, writers);
            await ending.CancelAsync();
            server.Signal("KILL");
            await server.WaitAsync();
            await writers.WaitAsync(TimeSpan.FromSeconds(60));
            AssertKept(load.Check(await File.ReadAllBytesAsync(image)), seed, round);
        }

        Assert.True(load.Promises > rounds * 10, $"{load.Promises} promises");
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}: {load.Promises} writes acknowledged as durable in {rounds} rounds, all kept");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Lost_power_takes_no_promise_unless_a_flush_lied(bool isHonest)
    {
        int rounds = ModelRun.IsLong ? 200 : 20;
        int seed = ModelRun.IsLong ? Environment.TickCount : 8;
        Random random = new(seed);
        DurabilityLoad load = new(seed);
        VolatileBackend storage = new(DurabilityLoad.Length, isHonest);
        int lost = 0;
        for (int round = 0; round < rounds; round++)
        {
            await using DevicePair<NvmeDevice> pair = DevicePair.Local(() => new NvmeDevice(new DeviceOptions { Namespaces = [new() { Backend = _ => storage }] }));
            await using NvmeController driver = await NvmeController.OpenAsync(pair.Connection, new DriverOptions { AllowWrites = true });
            long before = load.Promises;
            using CancellationTokenSource ending = new();
            Task writers = load.RunAsync(driver.Namespaces[0], ending.Token);
            await Task.WhenAny(writers, Task.Delay(random.Next(2, 30)));
            await WaitForPromisesAsync(load, before, writers);
            await ending.CancelAsync();
            storage.PowerOff(random);
            await writers.WaitAsync(TimeSpan.FromSeconds(60));
            List<string> wrong = load.Check(storage.PowerOn());
            lost += wrong.Count;
            if (isHonest)
            {
                AssertKept(wrong, seed, round);
            }
        }

        // The same check finds what a liar has lost; without that it would prove nothing.
        Assert.Equal(isHonest, lost == 0);
        Assert.True(storage.Flushes > rounds, $"{storage.Flushes} flushes");
    }

    [Fact]
    public async Task Flush_and_forced_writes_reach_the_backend_and_others_do_not()
    {
        VolatileBackend storage = new(DurabilityLoad.Length, isHonest: true);
        await using DevicePair<NvmeDevice> pair = DevicePair.Local(() => new NvmeDevice(new DeviceOptions { Namespaces = [new() { Backend = _ => storage }] }));
        await using NvmeController driver = await NvmeController.OpenAsync(pair.Connection, new DriverOptions { AllowWrites = true });
        NvmeNamespace disk = driver.Namespaces[0];

        await disk.WriteAsync(0, new byte[512]);
        Assert.Equal(0, storage.Flushes);
        await disk.WriteAsync(0, new byte[512], force: true);
        Assert.Equal(1, storage.Flushes);
        await disk.FlushAsync();
        Assert.Equal(2, storage.Flushes);
    }

    [Fact]
    public async Task Flush_fails_when_the_kernel_cannot_synchronize()
    {
        // A filter answers the server's fdatasync with EIO: whoever does not call it, or does not look at what it says, would report success.
        using ScratchSockets scratch = new();
        string launcher = scratch["failing-sync"];
        using (Process gcc = Process.Start("gcc", ["-O2", "-Wall", "-Werror", "-static", "-o", launcher, Checkout.File("tests/Vfio.Tool.Tests/failing-sync.c")]))
        {
            await gcc.WaitForExitAsync();
            Assert.Equal(0, gcc.ExitCode);
        }

        string socket = scratch["disk.sock"];
        using ToolProcess server = ToolProcess.StartShell($"exec {launcher} \"$VFIO\" serve nvme --socket-path {socket} --set file={scratch["disk.img"]} --set size=1M");
        await server.WaitUntilListeningAsync();
        await using VfioUserConnection connection = VfioUserConnection.Connect(socket, s_client);
        await using NvmeController driver = await NvmeController.OpenAsync(connection, new DriverOptions { AllowWrites = true });
        NvmeNamespace disk = driver.Namespaces[0];

        await disk.WriteAsync(0, new byte[4096]);
        NvmeException flush = await Assert.ThrowsAsync<NvmeException>(async () => await disk.FlushAsync());
        NvmeException forced = await Assert.ThrowsAsync<NvmeException>(async () => await disk.WriteAsync(0, new byte[512], force: true));
        Assert.Contains("Write Fault", flush.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("Write Fault", forced.Message, StringComparison.OrdinalIgnoreCase);
        await disk.ReadAsync(0, new byte[4096]);
    }

    private static async Task WaitForPromisesAsync(DurabilityLoad load, long before, Task writers)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (load.Promises < before + 20)
        {
            if (writers.IsCompleted)
            {
                await writers;
            }

            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), "Nothing becomes durable.");
            await Task.Delay(2);
        }
    }

    private static void AssertKept(List<string> wrong, int seed, int round)
        => Assert.True(wrong.Count == 0, $"seed {seed}, round {round}: {wrong.Count} blocks are wrong{Environment.NewLine}{string.Join(Environment.NewLine, wrong.Take(10))}");
}
