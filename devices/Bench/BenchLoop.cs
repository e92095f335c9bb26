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
    private readonly bool _isLookUp = command is BenchCommand.LookUpSame or BenchCommand.LookUpRandom;
    private ulong _random = 88172645463325252;

    /// <summary>How many iterations did what they should.</summary>
    public ulong Succeeded { get; private set; }

    /// <summary>Of what was read, so that nothing is optimized away.</summary>
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
        ulong random = _random;
        ulong sum = Sum;
        ulong succeeded = 0;

        // Not around transfers: those by message wait for the client, and its unmaps would wait for the cursor.
        DmaCursor cursor = _isLookUp ? dma.OpenCursor() : default;
        for (ulong i = 0; i < count; i++)
        {
            ulong at = address;
            if (_isRandom)
            {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                at = unchecked(address + (random % regions * stride));
            }

            succeeded += Once(ref cursor, at, buffer, ref sum) ? 1u : 0u;
        }

        cursor.Dispose();
        _random = random;
        Sum = sum;
        Succeeded += succeeded;
    }

    private readonly bool Once(ref DmaCursor cursor, ulong at, Span<byte> buffer, ref ulong sum)
    {
        switch (command)
        {
            case BenchCommand.LookUpSame or BenchCommand.LookUpRandom:
                if (cursor.TryGet(at, buffer.Length, DmaAccess.Read, out Span<byte> memory) != Errno.None)
                {
                    return false;
                }

                sum += memory[0];
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
}
