using System.Diagnostics;
using Vfio.Abi;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Client;

/// <summary>What a register access costs, and that accesses of several threads do not get in each other's way.</summary>
public sealed class SteadyStateTests
{
    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 0)]
    [InlineData(true, 50)]
    public async Task Register_access_allocates_nothing_on_either_side(bool twin, int busyPoll)
    {
        await using DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(
            static () => new ConformanceDevice(),
            new DevicePairOptions
            {
                Client = new VfioUserClientOptions { OfferTwinSocket = twin },
                Server = new VfioUserServerOptions { BusyPoll = TimeSpan.FromMicroseconds(busyPoll) },
            });
        VfioConnection connection = pair.Connection;
        byte[] buffer = new byte[8];
        int failures = 0;
        ulong Server()
        {
            Assert.Equal(Errno.None, connection.TryRead(0, ControlBlock.ThreadAllocations, buffer));
            return BitConverter.ToUInt64(buffer);
        }

        void Access()
        {
            for (int width = 1; width <= 8; width *= 2)
            {
                failures += connection.TryRead(1, 64, buffer.AsSpan(0, width)) == Errno.None ? 0 : 1;
                failures += connection.TryWrite(1, 64, buffer.AsSpan(0, width)) == Errno.None ? 0 : 1;
            }
        }

        // The client's thread, and the server's as its own device sees it. Pools may still grow once: what counts is that it ends.
        long client = -1;
        ulong server = ulong.MaxValue;
        for (int i = 0; i < 5 && (client != 0 || server != 0); i++)
        {
            AllocationMeter.Measure(Access, 100);
            ulong before = Server();
            client = AllocationMeter.Measure(Access, 2000, warmup: 10);
            server = Server() - before;
        }

        Assert.Equal(0, failures);
        Assert.Equal(0, client);
        Assert.Equal(0UL, server);
    }

    /// <summary>In band, commands that the client sends meanwhile are kept.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Message_DMA_allocates_nothing_on_the_server(bool twin)
    {
        await using DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(
            static () => new ConformanceDevice(),
            new DevicePairOptions { Client = new VfioUserClientOptions { ShareMemory = false, OfferTwinSocket = twin } });
        VfioConnection connection = pair.Connection;
        using DmaBuffer memory = connection.AllocateDma(0x2000);
        connection.Bar(0).Write64(ControlBlock.DmaAddress, memory.Iova);
        connection.Bar(0).Write32(ControlBlock.DmaLength, 0x2000);
        ulong allocated = ulong.MaxValue;
        for (int i = 0; i < 5 && allocated != 0; i++)
        {
            ulong before = connection.Bar(0).Read64(ControlBlock.ThreadAllocations);
            for (int k = 0; k < 200; k++)
            {
                connection.Bar(0).Write32(ControlBlock.DmaCommand, k % 2 == 0 ? ControlBlock.ReadInHandler : ControlBlock.WriteInHandler);
            }

            allocated = connection.Bar(0).Read64(ControlBlock.ThreadAllocations) - before;
        }

        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(0UL, allocated);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Many_threads_share_a_connection(bool twin)
    {
        await using DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(
            static () => new ConformanceDevice(), new DevicePairOptions { Client = new VfioUserClientOptions { OfferTwinSocket = twin, ShareMemory = false } });
        VfioConnection connection = pair.Connection;
        using DmaBuffer memory = connection.AllocateDma(0x10000);
        memory.Span.Fill(0x5A);
        connection.Bar(0).Write64(ControlBlock.DmaAddress, memory.Iova);
        connection.Bar(0).Write32(ControlBlock.DmaLength, 0x10000);
        using CancellationTokenSource stop = new();
        Task[] threads = [.. Enumerable.Range(0, 4).Select(number => Task.Factory.StartNew(
            () =>
            {
                ulong place = (ulong)number * 0x1000;
                byte[] expected = new byte[512];
                byte[] found = new byte[512];
                Random random = new(number);
                for (int i = 0; i < 1000; i++)
                {
                    int length = random.Next(1, expected.Length);
                    random.NextBytes(expected);
                    Assert.Equal(Errno.None, connection.TryWrite(1, place, expected.AsSpan(0, length)));
                    Assert.Equal(Errno.None, connection.TryRead(1, place, found.AsSpan(0, length)));
                    Assert.Equal(expected.AsSpan(0, length), found.AsSpan(0, length));
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default))];

        // The device reads and writes the client's memory by messages all the while.
        int runs = 0;
        while (!Task.WhenAll(threads).IsCompleted)
        {
            int done = pair.Device.DmaDone;
            connection.Bar(0).Write32(ControlBlock.DmaCommand, runs++ % 2 == 0 ? ControlBlock.ReadInWork : ControlBlock.WriteInWork);
            Assert.True(SpinWait.SpinUntil(() => pair.Device.DmaDone > done, 5000));
            Assert.Equal(Errno.None, pair.Device.LastDmaError);
        }

        await Task.WhenAll(threads);
        Assert.True(runs > 1);
        Assert.Equal(-1, memory.Span.IndexOfAnyExcept((byte)0x5A));
    }

    [Fact]
    public async Task Dispose_ends_the_requests_of_other_threads()
    {
        DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice());
        await using (pair)
        {
            VfioUserConnection connection = pair.Connect();
            Task<Errno>[] waiting = [.. Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(
                () => connection.TryWrite(0, ControlBlock.Sleep, BitConverter.GetBytes(300)),
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default))];
            Thread.Sleep(100);
            connection.Dispose();
            Errno[] results = await Task.WhenAll(waiting).WaitAsync(TimeSpan.FromSeconds(5));
            Assert.All(results, static result => Assert.Equal(Errno.ENOTCONN, result));
        }
    }

    /// <summary>Not a bound: VFIO_BENCH=1 prints the figures, so that a change can be judged by hand.</summary>
    [Fact]
    public async Task Round_trip_is_measured_on_demand()
    {
        await using DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(static () => new ConformanceDevice());
        VfioConnection connection = pair.Connection;
        int rounds = Environment.GetEnvironmentVariable("VFIO_BENCH") == "1" ? 200_000 : 200;
        byte[] buffer = new byte[4];
        for (int i = 0; i < rounds / 10; i++)
        {
            _ = connection.TryRead(0, 0, buffer);
        }

        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < rounds; i++)
        {
            if (connection.TryRead(0, 0, buffer) != Errno.None)
            {
                Assert.Fail("A read was refused.");
            }
        }

        double microseconds = Stopwatch.GetElapsedTime(started).TotalMicroseconds / rounds;
        TestContext.Current.TestOutputHelper?.WriteLine($"round trip {microseconds:F2} µs");
        if (rounds > 200)
        {
            Console.WriteLine($"round trip {microseconds:F2} µs");
        }

        Assert.True(microseconds > 0);
    }
}
