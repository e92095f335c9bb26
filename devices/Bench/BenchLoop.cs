using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Bench;

/// <summary>The iterations of a command, and what they come to.</summary>
/// <param name="dma">The memory that the user mapped.</param>
/// <param name="command">What is done each time.</param>
/// <param name="address">Where, or where the regions begin.</param>
/// <param name="regions">How many regions random addresses spread over, at least one.</param>
/// <param name="stride">The distance between their starts in bytes.</param>
internal struct BenchLoop(DmaSpace dma, BenchCommand command, ulong address, ulong regions, ulong stride)
{
    private const ulong IterationsOfBatch = 1024;
    private readonly bool _isRandom = command is BenchCommand.LookUpRandom or BenchCommand.ReadMapped or BenchCommand.OnlyRandom;
    private ulong _random = 88172645463325252;

    /// <summary>How many iterations did what they should.</summary>
    public ulong Succeeded { get; private set; }

    /// <summary>Of what was read, or of the addresses that were found, so that nothing is optimized away.</summary>
    public ulong Sum { get; private set; }

    /// <summary>Runs iterations.</summary>
    /// <param name="iterations">How many.</param>
    /// <param name="buffer">What is transferred each time.</param>
    public void Run(ulong iterations, Span<byte> buffer)
    {
        while (iterations > 0)
        {
            ulong count = Math.Min(iterations, IterationsOfBatch);
            RunBatch(count, buffer);
            iterations -= count;
        }
    }

    /// <summary>A part of the iterations: a method that is called often is compiled again with all optimizations, a loop that is entered once is not.</summary>
    private void RunBatch(ulong count, Span<byte> buffer)
    {
        if (command is BenchCommand.LookUpSame or BenchCommand.LookUpRandom)
        {
            LookUp(count, buffer.Length);
            return;
        }

        for (ulong i = 0; i < count; i++)
        {
            Succeeded += Once(_isRandom ? NextAddress(ref _random) : address, buffer) ? 1u : 0u;
        }
    }

    /// <summary>Look-ups as a device makes them that follows a list: without touching what they find.</summary>
    /// <remarks>The cursor is open around these only: transfers by message wait for the client, whose unmaps would wait for the cursor.</remarks>
    private void LookUp(ulong count, int length)
    {
        using DmaCursor cursor = dma.OpenCursor();
        ulong succeeded = 0;
        nint sum = 0;
        ulong random = _random;
        for (ulong i = 0; i < count; i++)
        {
            if (cursor.TryGet(_isRandom ? NextAddress(ref random) : address, length, DmaAccess.Read, out Span<byte> memory) == Errno.None)
            {
                sum += Unsafe.ByteOffset(ref Unsafe.NullRef<byte>(), ref MemoryMarshal.GetReference(memory));
                succeeded++;
            }
        }

        _random = random;
        Succeeded += succeeded;
        Sum += (ulong)sum;
    }

    private readonly ulong NextAddress(ref ulong random)
    {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return unchecked(address + (random % regions * stride));
    }

    private bool Once(ulong at, Span<byte> buffer)
    {
        switch (command)
        {
            case BenchCommand.ReadByMessage or BenchCommand.ReadMapped:
                if (dma.Read(at, buffer) != Errno.None)
                {
                    return false;
                }

                Sum += buffer.IsEmpty ? 0u : buffer[0];
                return true;
            case BenchCommand.WriteByMessage:
                return dma.Write(at, buffer) == Errno.None;
            case BenchCommand.OnlyRandom:
                Sum += at;
                return true;
            default:
                return false;
        }
    }
}
