using System.Collections.Concurrent;
using System.Numerics;

namespace Vfio.Iommu;

/// <summary>Which pages a device has written, while its user logs that (<see cref="DmaSpace.StartLog"/>).</summary>
/// <remarks>
/// Pages of 4096 bytes, in chunks of 2 MiB that come to be when a page of them is written: memory that a user has not mapped cannot be written, so
/// the log is bounded by what it has mapped. Marking takes no lock.
/// </remarks>
internal sealed class DmaWriteLog
{
    public const int PageShift = 12;
    private const int ChunkShift = 21;
    private const int WordsOfChunk = 1 << (ChunkShift - PageShift - 6);
    private readonly ConcurrentDictionary<ulong, ulong[]> _chunks = new();

    /// <summary>Marks what was written. Called behind the writes: whoever reads the mark finds what was written, or a later report has it.</summary>
    /// <param name="range">The addresses.</param>
    public void Mark(IovaRange range)
    {
        ulong last = range.Last >> PageShift;
        for (ulong page = range.Start >> PageShift; ; page++)
        {
            ulong[] words = _chunks.GetOrAdd(page >> (ChunkShift - PageShift), static _ => new ulong[WordsOfChunk]);

            // Not only when the bit is missing: the operation is also the barrier between the data and the mark.
            Interlocked.Or(ref words[(int)(page >> 6) & (WordsOfChunk - 1)], 1UL << (int)(page & 63));
            if (page == last)
            {
                return;
            }
        }
    }

    /// <summary>Tells and forgets the pages of a range that are marked.</summary>
    /// <param name="range">The range; pages that it has a part of count.</param>
    /// <param name="report">Gets runs of neighbouring pages.</param>
    public void TakeMarked(IovaRange range, Action<IovaRange> report)
    {
        foreach ((ulong chunk, ulong[] words) in _chunks)
        {
            ulong start = chunk << ChunkShift;
            if (start > range.Last || (start | ((1UL << ChunkShift) - 1)) < range.Start)
            {
                continue;
            }

            for (int i = 0; i < words.Length; i++)
            {
                ulong first = start + ((ulong)i << (PageShift + 6));
                ulong taken = Take(ref words[i], Inside(range, first));
                while (taken != 0)
                {
                    int from = BitOperations.TrailingZeroCount(taken);
                    int count = BitOperations.TrailingZeroCount(~(taken >> from));
                    _ = IovaRange.TryCreate(first + ((ulong)from << PageShift), (ulong)count << PageShift, out IovaRange run);
                    report(run);
                    taken = from + count == 64 ? 0 : taken & (ulong.MaxValue << (from + count));
                }
            }
        }
    }

    /// <summary>The bits of a word's 64 pages that a range has a part of.</summary>
    private static ulong Inside(IovaRange range, ulong first)
    {
        ulong last = first | ((1UL << (PageShift + 6)) - 1);
        if (range.Last < first || range.Start > last)
        {
            return 0;
        }

        int from = range.Start <= first ? 0 : (int)((range.Start - first) >> PageShift);
        int to = range.Last >= last ? 63 : (int)((range.Last - first) >> PageShift);
        return (ulong.MaxValue << from) & (ulong.MaxValue >> (63 - to));
    }

    private static ulong Take(ref ulong word, ulong mask) => (Volatile.Read(ref word) & mask) == 0 ? 0 : Interlocked.And(ref word, ~mask) & mask;
}
