using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Vfio.Testing;
using Xunit;

namespace Vfio.Devices.Igb.Tests;

/// <summary>Drivers that write anything anywhere.</summary>
public sealed class HostileTests
{
    private const ulong Memory = 0x100_0000;
    private const int MemoryLength = 0x2_0000;

    /// <summary>An exception in a device's work.</summary>
    private const int WorkFailed = 3002;

    private static int Steps => Environment.GetEnvironmentVariable("VFIO_TEST_LONG") == "1" ? 3_000_000 : 30_000;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Device_survives_random_registers_and_descriptors(int seed)
    {
        using Witness log = new();
        var random = new Random(seed);
        DevicePairOptions options = new() { Host = new VfioHostOptions { LoggerFactory = log } };
        await using DevicePair<IgbDevice> pair = DevicePair.Local(() => new IgbDevice(new IgbOptions { Backend = static () => new LoopbackPacketBackend(), BufferSize = 64 << 10 }), options);
        VfioRegion bar = pair.Connection.Bar(0);
        pair.Connection.Config.Write16(4, 6);
        using (DmaBuffer memory = pair.Connection.AllocateDma(MemoryLength, iova: Memory))
        {
            for (int i = 0; i < Steps; i++)
            {
                Step(random, bar, memory);
            }
        }

        pair.Connection.Reset();
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous);
        nic.Supply(4);
        byte[] frame = Nic.Frame(700);
        nic.Send(frame);
        Assert.Equal(frame, nic.Receive().Data);
        Assert.Empty(log.Failures);
    }

    private static void Step(Random random, VfioRegion bar, DmaBuffer memory)
    {
        uint queue = (uint)random.Next(16);
        uint ring = random.Next(2) == 0 ? 0xC000 + (queue * 0x40) : 0xE000 + (queue * 0x40);
        switch (random.Next(12))
        {
            case 0:
                bar.Write32((uint)random.Next(0x2_0000 / 4) * 4, Value(random) & ~(1U << 26));
                break;
            case 1:
                _ = bar.Read32((uint)random.Next(0x2_0000 / 4) * 4);
                break;
            case 2:
                bar.Write32(ring, (uint)Memory + ((uint)random.Next(MemoryLength / 128) * 128));
                bar.Write32(ring + 4, random.Next(20) == 0 ? Value(random) : 0);
                break;
            case 3:
                bar.Write32(ring + 8, (uint)random.Next(64) * 128);
                break;
            case 4:
                bar.Write32(ring + 0x18, (uint)random.Next(512));
                break;
            case 5:
                bar.Write32(ring + 0x28, random.Next(8) == 0 ? 0 : 1U << 25);
                break;
            case 6:
                bar.Write32(0xC00C + (queue * 0x40), (uint)random.Next(4) | ((uint)random.Next(64) << 8) | ((uint)random.Next(8) << 25));
                break;
            case 7:
                bar.Write32(0x100, 0x0000_803A | (Value(random) & 0x0403_0000));
                bar.Write32(0x400, 2 | (Value(random) & 8));
                break;
            case 8:
                // Anything where descriptors may be.
                random.NextBytes(memory.Slice((nuint)random.Next(MemoryLength - 64), 64));
                break;
            case 9:
                bar.Write32(0x5818, (uint)random.Next(8) | (Value(random) & 0x03FF_0000));
                break;
            default:
                Describe(random, memory.Slice((nuint)random.Next(MemoryLength / 16) * 16, 16));
                break;
        }
    }

    /// <summary>A descriptor that looks nearly right: contexts, packets to be cut, odd lengths.</summary>
    private static void Describe(Random random, Span<byte> descriptor)
    {
        BitConverter.TryWriteBytes(descriptor, random.Next(8) == 0 ? Value(random) : Memory + (ulong)random.Next(MemoryLength));
        uint command = 0x2B00_0000U | (random.Next(3) == 0 ? 2U << 20 : 3U << 20) | (random.Next(2) == 0 ? 1U << 31 : 0) | (random.Next(4) == 0 ? 1U << 30 : 0);
        BitConverter.TryWriteBytes(descriptor[8..], command | (uint)random.Next(random.Next(4) == 0 ? 0x1_0000 : 4096));
        BitConverter.TryWriteBytes(descriptor[12..], Value(random));
        if (random.Next(3) == 0)
        {
            // As a context: addresses and lengths of headers.
            BitConverter.TryWriteBytes(descriptor, 20U | (14U << 9) | (Value(random) & 0xFFFF_0000));
            BitConverter.TryWriteBytes(descriptor[12..], (20U << 8) | ((uint)random.Next(3000) << 16));
        }
    }

    private static uint Value(Random random) => (uint)random.NextInt64(1L << 32);

    /// <summary>Keeps what must not be in the log.</summary>
    private sealed class Witness : ILoggerFactory, ILogger
    {
        public ConcurrentBag<string> Failures { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Id == WorkFailed)
            {
                Failures.Add($"{formatter(state, exception)}: {exception}");
            }
        }
    }
}
