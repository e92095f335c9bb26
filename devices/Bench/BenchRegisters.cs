using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Bench;

/// <summary>The registers of BAR 0.</summary>
/// <param name="dma">The memory that the user mapped.</param>
internal sealed class BenchRegisters(DmaSpace dma) : RegisterBlock("bench", Extent)
{
    private const ulong Extent = 0x150;
    private const ulong ScratchSize = 0x100;
    private const ulong Address = 0x100;
    private const ulong Length = 0x108;
    private const ulong Iterations = 0x110;
    private const ulong Regions = 0x118;
    private const ulong Stride = 0x120;
    private const ulong Command = 0x128;
    private const ulong Nanoseconds = 0x130;
    private const ulong Succeeded = 0x138;
    private const ulong Sum = 0x140;
    private const ulong Writes = 0x148;

    // A guest bounds neither the memory nor the time that a command takes beyond these.
    private const ulong MaximumLength = 4 << 20;
    private const ulong MaximumIterations = 100_000_000;
    private const ulong IterationsOfBatch = 1024;
    private readonly byte[] _cells = new byte[Extent];
    private byte[] _buffer = [];

    /// <inheritdoc/>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        _cells.AsSpan((int)offset, width).CopyTo(bytes);
        value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        if (offset >= Nanoseconds)
        {
            return AccessResult.ReadOnly;
        }

        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        bytes[..width].CopyTo(_cells.AsSpan((int)offset));
        if (offset < ScratchSize)
        {
            Set(Writes, Get(Writes) + 1);
        }
        else if (offset == Command)
        {
            Run((BenchCommand)(uint)value);
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override void Reset(ResetKind kind) => Array.Clear(_cells);

    private ulong Get(ulong offset) => BinaryPrimitives.ReadUInt64LittleEndian(_cells.AsSpan((int)offset));

    private void Set(ulong offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_cells.AsSpan((int)offset), value);

    private void Run(BenchCommand command)
    {
        ulong address = Get(Address);
        int length = (int)Math.Min(Get(Length), MaximumLength);
        ulong iterations = Math.Min(Get(Iterations), MaximumIterations);
        ulong regions = Math.Max(Get(Regions), 1);
        ulong stride = Get(Stride);
        if (_buffer.Length < length)
        {
            _buffer = new byte[length];
        }

        Span<byte> buffer = _buffer.AsSpan(0, length);
        Tally tally = new();
        long started = Stopwatch.GetTimestamp();
        for (ulong left = iterations; left > 0;)
        {
            ulong count = Math.Min(left, IterationsOfBatch);
            Repeat(command, count, address, regions, stride, buffer, ref tally);
            left -= count;
        }

        Set(Nanoseconds, (ulong)Stopwatch.GetElapsedTime(started).TotalNanoseconds);
        Set(Succeeded, tally.Succeeded);
        Set(Sum, tally.Sum);
    }

    /// <summary>A part of a command's iterations. A method that is called often is compiled again with all optimizations; a loop that is entered once is not.</summary>
    private void Repeat(BenchCommand command, ulong count, ulong address, ulong regions, ulong stride, Span<byte> buffer, ref Tally tally)
    {
        bool isRandom = command is BenchCommand.LookUpRandom or BenchCommand.ReadMapped or BenchCommand.OnlyRandom;
        ulong random = tally.Random;
        ulong sum = tally.Sum;
        ulong succeeded = 0;
        for (ulong i = 0; i < count; i++)
        {
            ulong at = address;
            if (isRandom)
            {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                at = unchecked(address + (random % regions * stride));
            }

            succeeded += Once(command, at, buffer, ref sum) ? 1u : 0u;
        }

        tally = new Tally { Random = random, Sum = sum, Succeeded = tally.Succeeded + succeeded };
    }

    private bool Once(BenchCommand command, ulong at, Span<byte> buffer, ref ulong sum)
    {
        switch (command)
        {
            case BenchCommand.LookUpSame or BenchCommand.LookUpRandom:
                if (dma.TryOpenWindow(at, buffer.Length, DmaAccess.Read, out DmaWindow window) != Errno.None)
                {
                    return false;
                }

                sum += window.Span[0];
                window.Dispose();
                return true;
            case BenchCommand.ReadByMessage or BenchCommand.ReadMapped:
                if (dma.Read(at, buffer) != Errno.None)
                {
                    return false;
                }

                sum += buffer.IsEmpty ? 0u : buffer[0];
                return true;
            case BenchCommand.WriteByMessage:
                return dma.Write(at, buffer) == Errno.None;
            case BenchCommand.OnlyRandom:
                sum += at;
                return true;
            default:
                return false;
        }
    }

    /// <summary>What the iterations of a command so far have come to.</summary>
    private struct Tally()
    {
        public ulong Random { get; set; } = 88172645463325252;

        public ulong Sum { get; set; }

        public ulong Succeeded { get; set; }
    }
}
