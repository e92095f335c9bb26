using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Testing;
using Xunit;

namespace Vfio.Devices.Dsa.Tests;

/// <summary>Drivers that write anything, and many descriptors.</summary>
public sealed class HostileTests : IAsyncLifetime
{
    private const ulong Memory = 0x10_0000;
    private const int Length = 0x10_0000;
    private const int List = 0x8_0000;
    private const int QueueSize = 64;
    private DevicePair<DsaDevice> _pair = null!;
    private DmaBuffer _memory = null!;

    public ValueTask InitializeAsync()
    {
        _pair = DevicePair.Local(static () => new DsaDevice());
        _memory = _pair.Connection.AllocateDma(Length, iova: Memory);
        _pair.Connection.Config.Write16(4, 6);
        Enable();
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        _memory.Dispose();
        await _pair.DisposeAsync();
    }

    /// <summary>Whatever the descriptors are, the work queue goes on: at the end one that does nothing is told.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Descriptors_of_chance_leave_the_device_at_work(int seed)
    {
        var chance = new Random(seed);
        Span<byte> descriptor = stackalloc byte[64];
        for (int i = 0; i < 20_000; i++)
        {
            Invent(chance, descriptor);

            // The list of batches, which may be these bytes as well as any others.
            descriptor.CopyTo(_memory.Slice((nuint)(List + (64 * chance.Next(1024))), 64));
            _pair.Connection.Bar(2).Write((ulong)(64 * chance.Next(256)), descriptor);
            if (i % QueueSize == QueueSize - 1)
            {
                Assert.Equal(0U, Command(8, 1));
            }
        }

        AssertWorks();
    }

    /// <summary>Registers written at random; a reset puts everything right.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Registers_of_chance_are_put_right_by_a_reset(int seed)
    {
        var chance = new Random(seed);
        Span<byte> descriptor = stackalloc byte[64];
        VfioRegion bar = _pair.Connection.Bar(0);
        for (int i = 0; i < 20_000; i++)
        {
            bar.Write32((ulong)(4 * chance.Next(0x700 / 4)), (uint)chance.NextInt64() & (chance.Next(2) == 0 ? 0xFFFF : uint.MaxValue));
            if (chance.Next(4) == 0)
            {
                Invent(chance, descriptor);
                _pair.Connection.Bar(2).Write((ulong)(64 * chance.Next(2048)), descriptor);
            }

            if (chance.Next(100) == 0)
            {
                _ = Command((uint)chance.Next(1, 13), (uint)chance.Next(16));
            }
        }

        _pair.Connection.Reset();
        _pair.Connection.Config.Write16(4, 6);
        Assert.Equal(1U << 2, bar.Read32(0x90));
        Enable();
        AssertWorks();
    }

    [Fact]
    public void Storm_of_batches_is_executed_without_allocation()
    {
        Span<byte> descriptor = stackalloc byte[64];
        for (int i = 0; i < 1024; i++)
        {
            Describe(descriptor, 3, 0, Memory + 0x4000, Memory + 0x5000, 64);
            descriptor.CopyTo(_memory.Slice((nuint)(List + (64 * i)), 64));
        }

        byte[] batch = new byte[64];
        Describe(batch, 1, 0x0C, Memory + List, 0, 1024);
        Run();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Run();
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 256 * 1024);

        void Run()
        {
            for (int i = 0; i < QueueSize; i++)
            {
                _memory.Slice(0, 1)[0] = 0;
                _pair.Connection.Bar(2).Write(0, batch);
                Wait();
                Assert.Equal((1, 1024U), (_memory.Slice(0, 1)[0], BinaryPrimitives.ReadUInt32LittleEndian(_memory.Slice(4, 4))));
            }
        }
    }

    private static void Invent(Random chance, Span<byte> descriptor)
    {
        ReadOnlySpan<byte> operations = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20, 0x21];
        ReadOnlySpan<uint> sizes = [0, 1, 2, 8, 64, 512, 520, 1024, 4096, 65_536, uint.MaxValue];
        chance.NextBytes(descriptor[40..]);
        if (chance.Next(2) == 0)
        {
            // The second destination, the delta record, or the seed's address in memory.
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[40..], Address(chance));
        }

        uint flags = chance.Next(4) switch { 0 => (uint)chance.Next(1 << 24), 1 => 0x0C, 2 => 0x08, _ => 0x1C };
        Describe(descriptor, operations[chance.Next(operations.Length)], flags, Address(chance), Address(chance), sizes[chance.Next(sizes.Length)]);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[36..], (ushort)chance.Next(12));
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], Memory + (ulong)(8 * chance.Next(0x1000)));
    }

    private static ulong Address(Random chance)
        => chance.Next(8) switch
        {
            0 => (ulong)chance.NextInt64(long.MinValue, long.MaxValue),
            1 => ulong.MaxValue - (ulong)chance.Next(4096),
            2 => Memory + List,
            _ => Memory + (ulong)(8 * chance.Next(Length / 8)),
        };

    private static void Describe(Span<byte> descriptor, byte operation, uint flags, ulong source, ulong destination, uint size)
    {
        descriptor[..40].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[4..], flags | ((uint)operation << 24));
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], (flags & 4) != 0 ? Memory : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[16..], source);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[24..], destination);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[32..], size);
    }

    private void Enable()
    {
        VfioRegion bar = _pair.Connection.Bar(0);
        bar.Write32(0x500, QueueSize);
        bar.Write32(0x508, 0x11);
        bar.Write32(0x50C, 16 | (10 << 5));
        bar.Write64(0x400, 1);
        bar.Write64(0x420, 1);
        Assert.Equal(0U, Command(1, 0));
        Assert.Equal(0U, Command(6, 0));
    }

    private void AssertWorks()
    {
        Span<byte> descriptor = stackalloc byte[64];
        descriptor.Clear();
        _memory.Slice(0, 32).Clear();
        Describe(descriptor, 0, 0x0C, 0, 0, 0);
        _pair.Connection.Bar(2).Write(0, descriptor);
        Wait();
        Assert.Equal(1, _memory.Slice(0, 1)[0]);
    }

    private uint Command(uint command, uint operand)
    {
        VfioRegion bar = _pair.Connection.Bar(0);
        bar.Write32(0xA0, (command << 20) | operand);
        long until = Stopwatch.GetTimestamp() + (20 * Stopwatch.Frequency);
        uint status;
        while (((status = bar.Read32(0xA8)) & 0x8000_0000) != 0)
        {
            Assert.True(Stopwatch.GetTimestamp() < until, "the command does not end");
        }

        return status;
    }

    private void Wait()
    {
        long until = Stopwatch.GetTimestamp() + (10 * Stopwatch.Frequency);
        while (Volatile.Read(ref _memory.Slice(0, 1)[0]) == 0)
        {
            Assert.True(Stopwatch.GetTimestamp() < until, "no completion");
            Thread.Yield();
        }
    }
}
