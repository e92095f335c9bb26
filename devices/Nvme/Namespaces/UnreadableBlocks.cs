using System.Numerics;
using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Which blocks Write Uncorrectable has made unreadable: a bit for each 512 bytes, in memory that takes none until it is used (1/4096 of the
/// namespace at the most). Its lock encloses nothing.
/// </summary>
internal sealed class UnreadableBlocks : IDisposable
{
    private const int UnitShift = 9;
    private const int WordShift = UnitShift + 6;
    private readonly Lock _lock = new();
    private readonly MemoryMapping _bits;
    private long _count;

    private UnreadableBlocks(MemoryMapping bits) => _bits = bits;

    /// <summary>Whether all blocks can be read; the answer for nearly all namespaces nearly always, without a lock.</summary>
    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    /// <summary>Makes the table for a number of bytes.</summary>
    /// <exception cref="LinuxException">The system has no memory for it.</exception>
    public static UnreadableBlocks Create(ulong length)
    {
        MemoryMapping.TryMapAnonymous(Bytes(length), MemoryProtection.ReadWrite, out MemoryMapping? bits).ThrowIfError("take memory for the table of unreadable blocks");
        return new UnreadableBlocks(bits!);
    }

    /// <summary>Makes the table, or null when the system has no memory for it.</summary>
    public static UnreadableBlocks? TryCreate(ulong length)
        => MemoryMapping.TryMapAnonymous(Bytes(length), MemoryProtection.ReadWrite, out MemoryMapping? bits) == Vfio.Abi.Errno.None ? new UnreadableBlocks(bits!) : null;

    /// <summary>Marks a range of bytes, which are whole blocks, or takes the marks away.</summary>
    public void Mark(ulong offset, ulong length, bool unreadable)
    {
        lock (_lock)
        {
            for (ulong at = offset; at < offset + length;)
            {
                ulong end = Math.Min(offset + length, ((at >> WordShift) + 1) << WordShift);
                ref ulong word = ref Word(at);
                ulong mask = Mask(at, end);
                ulong marked = unreadable ? word | mask : word & ~mask;

                // A page that holds no mark is not touched.
                if (marked != word)
                {
                    Volatile.Write(ref _count, _count + BitOperations.PopCount(marked) - BitOperations.PopCount(word));
                    word = marked;
                }

                at = end;
            }
        }
    }

    /// <summary>Finds the first unreadable byte of a range.</summary>
    /// <returns>False when all can be read.</returns>
    public bool TryFind(ulong offset, ulong length, out ulong found)
    {
        found = 0;
        lock (_lock)
        {
            for (ulong at = offset; at < offset + length;)
            {
                ulong end = Math.Min(offset + length, ((at >> WordShift) + 1) << WordShift);
                ulong marked = Word(at) & Mask(at, end);
                if (marked != 0)
                {
                    found = ((at >> WordShift) << WordShift) + ((ulong)BitOperations.TrailingZeroCount(marked) << UnitShift);
                    return true;
                }

                at = end;
            }
        }

        return false;
    }

    /// <summary>Finds the next run of marked bytes.</summary>
    /// <param name="offset">Where to begin.</param>
    /// <param name="length">Bytes of the namespace.</param>
    /// <param name="found">First byte of the run.</param>
    /// <param name="end">Behind its last byte; marks are of 512 bytes.</param>
    /// <returns>False when there is none any more.</returns>
    public bool TryFindRun(ulong offset, ulong length, out ulong found, out ulong end)
    {
        end = 0;
        if (offset >= length || !TryFind(offset, length - offset, out found))
        {
            found = 0;
            return false;
        }

        end = found + (1UL << UnitShift);
        while (end < length && TryFind(end, 1UL << UnitShift, out _))
        {
            end += 1UL << UnitShift;
        }

        return true;
    }

    /// <summary>Takes all marks away.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            if (_count != 0)
            {
                _ = _bits.TryDiscard(0, _bits.Length);
                Volatile.Write(ref _count, 0);
            }
        }
    }

    public void Dispose() => _bits.Dispose();

    private static nuint Bytes(ulong length) => (nuint)(((length >> WordShift) + 1) * sizeof(ulong));

    /// <summary>The bits of a range inside of a word.</summary>
    private static ulong Mask(ulong start, ulong end)
    {
        int first = (int)(start >> UnitShift) & 63;
        int count = (int)((end - start) >> UnitShift);
        return (count == 64 ? ulong.MaxValue : (1UL << count) - 1) << first;
    }

    private ref ulong Word(ulong offset) => ref MemoryMarshal.AsRef<ulong>(_bits.Slice((nuint)((offset >> WordShift) * sizeof(ulong)), sizeof(ulong)));
}
