using System.Collections.Concurrent;
using Vfio.Abi;
using Vfio.Drivers.Edu;
using Vfio.Drivers.Nvme;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Siege;

/// <summary>The clients of a soak, one a device: sessions of registers, DMA, interrupts, maps and resets, one after the other, some of which break off.</summary>
internal sealed class SoakClients(string edu, string bench, string nvme)
{
    private const int MostFailures = 10;
    private readonly ConcurrentQueue<string> _failures = [];
    private long _sessions;
    private long _operations;

    public long Sessions => Volatile.Read(ref _sessions);

    public long Operations => Volatile.Read(ref _operations);

    /// <summary>What went wrong that was not to.</summary>
    public IReadOnlyCollection<string> Failures => _failures;

    /// <summary>Runs them until they are stopped.</summary>
    public Task RunAsync(CancellationToken stop) => Task.WhenAll(LoopAsync("edu", EduAsync, stop), LoopAsync("bench", RawAsync, stop), LoopAsync("nvme", NvmeAsync, stop));

    private async Task LoopAsync(string name, Func<Random, Task> session, CancellationToken stop)
    {
        Random random = new(name.Length);
        await Task.Yield();
        while (!stop.IsCancellationRequested && _failures.Count < MostFailures)
        {
            try
            {
                await session(random);
                Interlocked.Increment(ref _sessions);
            }
            catch (VfioException exception) when (exception.Errno is Errno.EPIPE or Errno.ECONNRESET or Errno.ENOTCONN or Errno.EBUSY)
            {
                // The one before is still in its place: this one was sent away.
                await Task.Delay(1, CancellationToken.None);
            }
            catch (Exception exception) when (exception is VfioException or IOException or InvalidOperationException or TimeoutException)
            {
                _failures.Enqueue($"{name}: {exception.GetType().Name}: {exception.Message}");
            }
        }
    }

    private void Did(bool right, string what)
    {
        Interlocked.Increment(ref _operations);
        if (!right)
        {
            throw new InvalidOperationException($"{what} came out wrong.");
        }
    }

    private async Task EduAsync(Random random)
    {
        await using VfioConnection connection = VfioUserConnection.Connect(edu, new VfioUserClientOptions { ShareMemory = random.Next(2) == 0, OfferTwinSocket = random.Next(2) == 0 });
        await using EduDriver driver = EduDriver.Open(connection);
        for (int i = random.Next(40); i >= 0; i--)
        {
            using DmaBuffer buffer = driver.AllocateDma(8192);
            byte[] sent = new byte[4096];
            random.NextBytes(sent);
            sent.CopyTo(buffer.Span);
            await driver.CopyToDeviceAsync(buffer, sent.Length);
            buffer.Span.Clear();
            await driver.CopyFromDeviceAsync(buffer, sent.Length);
            Did(buffer.Span[..sent.Length].SequenceEqual(sent), "DMA");
            Did(await driver.ComputeFactorialAsync(5) == 120, "the factorial");
            Did(await driver.RaiseInterruptAsync(3) == 3, "the interrupt");
        }

        connection.Reset();
    }

    private async Task NvmeAsync(Random random)
    {
        await using VfioConnection connection = VfioUserConnection.Connect(nvme);
        await using NvmeController controller = await NvmeController.OpenAsync(connection, new NvmeOptions { AllowWrites = true });
        NvmeNamespace disk = controller.Namespaces[0];
        byte[] data = new byte[(1 + random.Next(64)) * 4096];
        byte[] back = new byte[data.Length];
        for (int i = random.Next(40); i >= 0; i--)
        {
            random.NextBytes(data);
            ulong block = (ulong)random.Next(1000) * 8;
            await disk.WriteAsync(block, data);
            await disk.ReadAsync(block, back);
            Did(back.AsSpan().SequenceEqual(data), "what was written");
            if (random.Next(20) == 0)
            {
                await controller.ResetAsync();
            }
        }
    }

    /// <summary>Registers, maps and resets by the wire, and an end in the middle of a message.</summary>
    private Task RawAsync(Random random)
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(bench);
        if (random.Next(10) == 0)
        {
            // It never negotiates.
            _ = client.SendBytes(new byte[random.Next(1, 40)]);
            return Task.CompletedTask;
        }

        using (VfioUserMessage? version = Negotiate(client))
        {
            if (version is null)
            {
                return Task.CompletedTask;
            }
        }

        using MemFd memory = new("soak", 1 << 20);
        for (int i = random.Next(200); i >= 0; i--)
        {
            ulong address = (ulong)random.Next(16) << 20;
            bool shared = random.Next(2) == 0;
            Did(client.MapDma(address, 1 << 20, shared ? memory.Descriptor : null) == Errno.None, "the map");
            Did(client.ReadRegion((uint)PciRegion.Config, 0, 4).Length == 4, "the read");
            Did(client.UnmapDma(address, 1 << 20) == Errno.None, "the unmap");
        }

        using (VfioUserMessage reset = client.Request(VfioUserCommand.DeviceReset))
        {
            Did(reset.Error == Errno.None, "the reset");
        }

        // Some that stay mapped, and half a message.
        for (int i = random.Next(100); i >= 0; i--)
        {
            Did(client.MapDma((ulong)i << 20, 1 << 20, memory.Descriptor) == Errno.None, "the map");
        }

        _ = client.SendBytes(VfioUserPeer.Compose(1, VfioUserCommand.DmaMap, VfioUserFlags.Command, new byte[32]).AsSpan(0, random.Next(1, 48)), memory.Descriptor);
        return Task.CompletedTask;
    }

    /// <summary>Null when the one before is still in its place.</summary>
    private static VfioUserMessage? Negotiate(RawVfioUserClient client)
    {
        try
        {
            return client.Negotiate(RawVfioUserClient.QemuCapabilities);
        }
        catch (EndOfStreamException)
        {
            return null;
        }
    }
}
