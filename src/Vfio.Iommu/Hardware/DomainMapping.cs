using System.Numerics;

namespace Vfio.Iommu;

/// <summary>One mapping of a <see cref="SimulatedDomain"/>: a run of memory, shown by as large translation entries as fit.</summary>
/// <remarks>
/// An entry is a block of a page size that is aligned to its size in both address spaces and lies wholly inside the mapping. The
/// entry around an address is therefore the largest such block, and no list of entries is needed.
/// </remarks>
public sealed class DomainMapping : TransferGate
{
    private readonly ulong _pageSizes;
    private long[]? _written;

    internal DomainMapping(IovaRange range, MemorySource source, ulong offset, DmaAccess access, ulong pageSizes)
        : base(range, source, offset)
    {
        Access = access;

        // No entry is larger than the alignment that both addresses share.
        ulong difference = unchecked(source.PlacementHint(offset) - range.Start);
        ulong limit = difference == 0 ? ulong.MaxValue : (difference & (~difference + 1)) | ((difference & (~difference + 1)) - 1);
        _pageSizes = pageSizes & limit;
        MinimumShift = BitOperations.TrailingZeroCount(pageSizes);
    }

    /// <summary>What devices may do.</summary>
    public DmaAccess Access { get; }

    internal int MinimumShift { get; }

    /// <summary>Whether the smallest page divides both addresses and the length.</summary>
    internal bool IsAligned
    {
        get
        {
            ulong unit = (1ul << MinimumShift) - 1;
            return ((Range.Start | unchecked(Range.Last + 1) | Source.PlacementHint(SourceOffset(Range.Start))) & unit) == 0;
        }
    }

    /// <summary>The translation entry around an address of the mapping.</summary>
    /// <param name="iova">The address.</param>
    /// <returns>The entry's range.</returns>
    public IovaRange EntryAt(ulong iova)
    {
        for (ulong sizes = _pageSizes; sizes != 0;)
        {
            int shift = BitOperations.Log2(sizes);
            sizes &= ~(1ul << shift);
            ulong start = iova >> shift << shift;
            if (IovaRange.TryCreate(start, 1ul << shift, out IovaRange entry) && Range.Contains(entry))
            {
                return entry;
            }
        }

        // Every mapping is a multiple of the smallest page.
        _ = IovaRange.TryCreate(iova >> MinimumShift << MinimumShift, 1ul << MinimumShift, out IovaRange smallest);
        return smallest;
    }

    /// <summary>Notes that the entries of a range were written to.</summary>
    internal void MarkWritten(IovaRange range)
    {
        long[]? written = Volatile.Read(ref _written);
        if (written is null)
        {
            long[] fresh = new long[((Range.Length >> MinimumShift) + 63) / 64];
            written = Interlocked.CompareExchange(ref _written, fresh, null) ?? fresh;
        }

        for (ulong at = range.Start; ;)
        {
            IovaRange entry = EntryAt(at);
            (int word, long bit) = Bit(entry.Start);
            Interlocked.Or(ref written[word], bit);
            if (entry.Last >= range.Last)
            {
                return;
            }

            at = entry.Last + 1;
        }
    }

    /// <summary>Reports, and forgets, the entries in a range that were written to.</summary>
    internal void ReadWritten(IovaRange range, bool clear, Action<IovaRange>? report)
    {
        long[]? written = Volatile.Read(ref _written);
        if (written is null || !IovaRange.TryCreateInclusive(Math.Max(range.Start, Range.Start), Math.Min(range.Last, Range.Last), out IovaRange window))
        {
            return;
        }

        for (ulong at = window.Start; ;)
        {
            IovaRange entry = EntryAt(at);
            (int word, long bit) = Bit(entry.Start);
            if ((Volatile.Read(ref written[word]) & bit) != 0)
            {
                if (clear)
                {
                    Interlocked.And(ref written[word], ~bit);
                }

                // Clamped: an entry may stick out of what was asked for.
                _ = IovaRange.TryCreateInclusive(Math.Max(entry.Start, window.Start), Math.Min(entry.Last, window.Last), out IovaRange part);
                report?.Invoke(part);
            }

            if (entry.Last >= window.Last)
            {
                return;
            }

            at = entry.Last + 1;
        }
    }

    private (int Word, long Bit) Bit(ulong entryStart)
    {
        ulong index = (entryStart - Range.Start) >> MinimumShift;
        return ((int)(index / 64), 1L << (int)(index % 64));
    }
}
