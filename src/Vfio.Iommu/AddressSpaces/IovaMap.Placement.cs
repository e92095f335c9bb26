using System.Numerics;
using Vfio.Abi;

namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    /// <summary>The checks of fixed placement, in their order (spec iommufd §3.3).</summary>
    private Errno CheckFixed(ulong iova, ulong length)
    {
        if (length == 0 || ((length | iova) & (Alignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        if (IntersectsReserved(range))
        {
            return Errno.EINVAL;
        }

        return _index.FindFrom(range.Start) is { } next && next.Range.Start <= range.Last ? Errno.EEXIST : Errno.None;
    }

    /// <summary>Chooses an address by the rules of automatic placement (spec iommufd §3.2).</summary>
    private Errno Place(ulong hint, ulong length, out ulong iova)
    {
        iova = 0;
        if (length == 0 || length >= ulong.MaxValue / 2)
        {
            return Errno.EOVERFLOW;
        }

        ulong align = BitOperations.RoundUpToPowerOf2(length);
        if (hint != 0)
        {
            align = Math.Min(align, hint & (~hint + 1));
        }

        align = Math.Min(align, HugePageSize);
        if (align < Alignment)
        {
            return Errno.EINVAL;
        }

        foreach (IovaRange window in _windows)
        {
            // The rule applies to the window first, which may move its start up, and then to each gap in it.
            if (!Candidate(window, hint, length, align, out ulong start)
                || !IovaRange.TryCreateInclusive(start, window.Last, out IovaRange moved))
            {
                continue;
            }

            GapWalk walk = new(moved, _reserved);
            while (walk.Next(out IovaRange free))
            {
                if (Place(free, hint, length, align, out iova))
                {
                    return Errno.None;
                }
            }
        }

        return Errno.ENOSPC;
    }

    /// <summary>The lowest address that suits in a range without reserved ones.</summary>
    private bool Place(IovaRange free, ulong hint, ulong length, ulong align, out ulong iova)
    {
        ulong from = free.Start;
        while (_index.TryFindGap(from, free.Last, length, out IovaRange gap))
        {
            if (Candidate(gap, hint, length, align, out iova))
            {
                return true;
            }

            if (gap.Last == free.Last)
            {
                break;
            }

            from = gap.Last + 1;
        }

        iova = 0;
        return false;
    }

    private static bool Candidate(IovaRange gap, ulong hint, ulong length, ulong align, out ulong iova)
    {
        iova = unchecked(gap.Start + align - 1) & ~(align - 1);
        if (iova < gap.Start)
        {
            return false;
        }

        iova |= hint & (PageSize - 1);
        return iova < gap.Last && gap.Last - iova >= length - 1;
    }

    /// <summary>Where automatic placement looks: all but the first page and the last, or what of it is allowed, with neighbours as one.</summary>
    private static IovaRange[] Windows(ReadOnlySpan<IovaRange> allowed)
    {
        _ = IovaRange.TryCreateInclusive(PageSize, ulong.MaxValue - PageSize, out IovaRange search);
        if (allowed.IsEmpty)
        {
            return [search];
        }

        List<IovaRange> merged = [];
        foreach (IovaRange range in allowed)
        {
            if (!IovaRange.TryCreateInclusive(Math.Max(range.Start, search.Start), Math.Min(range.Last, search.Last), out IovaRange clipped))
            {
                continue;
            }

            if (merged.Count > 0 && merged[^1].Last + 1 == clipped.Start
                && IovaRange.TryCreateInclusive(merged[^1].Start, clipped.Last, out IovaRange joined))
            {
                merged[^1] = joined;
            }
            else
            {
                merged.Add(clipped);
            }
        }

        return [.. merged];
    }
}
