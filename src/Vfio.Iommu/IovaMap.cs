using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// The I/O address space of an <see cref="Ioas"/>: which addresses are mapped, reserved and allowed (iommufd's <c>io_pagetable</c>).
/// </summary>
/// <remarks>
/// Changes are made under one lock and published as an immutable index, which <see cref="Find"/> reads without it.
/// Lock order: this lock is a leaf; no callback runs under it.
/// </remarks>
internal sealed class IovaMap
{
    private const ulong PageSize = 4096;
    private const ulong HugePageSize = 2 << 20;
    private readonly Lock _lock = new();
    private readonly List<(IovaRange Range, object? Owner)> _reserved = [];
    private volatile IovaIndex _index = IovaIndex.Empty;
    private IovaRange[] _allowed = [];
    private int _pageAligned;

    /// <summary>Smallest unit of addresses and lengths, in bytes: 1, or a page while somebody needs to pin.</summary>
    public ulong Alignment => Volatile.Read(ref _pageAligned) > 0 ? PageSize : 1;

    public int Count => _index.Count;

    public IovaArea? Find(ulong iova) => _index.Find(iova);

    /// <summary>Raises the alignment to a page for one more user of the map.</summary>
    /// <returns><see cref="Errno.EADDRINUSE"/> when an area is not aligned.</returns>
    public Errno RequirePageAlignment()
    {
        lock (_lock)
        {
            if (_pageAligned == 0)
            {
                foreach (IovaArea area in _index)
                {
                    if (((area.Range.Start | area.Range.Length | area.Source.PlacementHint(area.SourceOffset(area.Range.Start))) & (PageSize - 1)) != 0)
                    {
                        return Errno.EADDRINUSE;
                    }
                }
            }

            _pageAligned++;
            return Errno.None;
        }
    }

    public void ReleasePageAlignment()
    {
        lock (_lock)
        {
            _pageAligned--;
        }
    }

    /// <summary>Maps memory at a given address (spec iommufd §3.3).</summary>
    public Errno MapFixed(ulong iova, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        lock (_lock)
        {
            Errno error = CheckFixed(iova, length);
            if (error != Errno.None)
            {
                return error;
            }

            if ((source.PlacementHint(sourceOffset) & (PageSize - 1) & (Alignment - 1)) != 0
                || !IovaRange.TryCreate(iova, length, out IovaRange range))
            {
                return Errno.EINVAL;
            }

            source.AddReference();
            _index = _index.Insert(new IovaArea(range, source, sourceOffset, access));
            return Errno.None;
        }
    }

    /// <summary>Maps memory at the lowest address that fits (spec iommufd §3.2).</summary>
    /// <param name="hint">The source's address or file offset: it decides the alignment.</param>
    public Errno MapAnywhere(ulong hint, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access, out ulong iova)
    {
        lock (_lock)
        {
            iova = 0;
            Errno error = (length & (Alignment - 1)) != 0 ? Errno.EINVAL : Place(hint, length, out iova);
            return error != Errno.None ? error : MapFixed(iova, length, source, sourceOffset, access);
        }
    }

    /// <summary>Lists the memory that a contiguously mapped range shows, with a reference on each piece's source (spec iommufd §2.8).</summary>
    /// <returns><see cref="Errno.ENOENT"/> when some of it is not mapped.</returns>
    public Errno GetPieces(IovaRange range, List<MemoryPiece> pieces)
    {
        lock (_lock)
        {
            ulong iova = range.Start;
            while (true)
            {
                IovaArea? area = _index.Find(iova);
                if (area is null)
                {
                    pieces.ForEach(static piece => piece.Source.RemoveReference());
                    pieces.Clear();
                    return Errno.ENOENT;
                }

                ulong last = Math.Min(area.Range.Last, range.Last);
                area.Source.AddReference();
                pieces.Add(new MemoryPiece(area.Source, area.SourceOffset(iova), last - iova + 1));
                if (last == range.Last)
                {
                    return Errno.None;
                }

                iova = last + 1;
            }
        }
    }

    /// <summary>Maps pieces back to back, all or none; each becomes an area of its own.</summary>
    /// <param name="iova">With a fixed address: it; otherwise on return the address chosen.</param>
    /// <returns>As <see cref="MapFixed"/>; <see cref="Errno.EPERM"/> when a piece must not be written.</returns>
    public Errno MapPieces(bool isFixed, ref ulong iova, ulong length, List<MemoryPiece> pieces, DmaAccess access)
    {
        lock (_lock)
        {
            if ((length & (Alignment - 1)) != 0)
            {
                return Errno.EINVAL;
            }

            Errno error = isFixed ? Errno.None : Place(pieces[0].Source.PlacementHint(pieces[0].Offset), length, out iova);
            error = error != Errno.None ? error : CheckFixed(iova, length);
            ulong unaligned = Alignment - 1;
            foreach (MemoryPiece piece in pieces)
            {
                if (error != Errno.None)
                {
                    return error;
                }

                if ((access & DmaAccess.Write) != 0 && !piece.Source.IsWritable)
                {
                    error = Errno.EPERM;
                }
                else if (((piece.Length | piece.Source.PlacementHint(piece.Offset)) & unaligned) != 0)
                {
                    error = Errno.EINVAL;
                }
            }

            // Published at once: a transfer must never find a piece that would be taken back, without being waited for.
            IovaIndex index = _index;
            ulong at = iova;
            foreach (MemoryPiece piece in pieces)
            {
                if (error != Errno.None || !IovaRange.TryCreate(at, piece.Length, out IovaRange range))
                {
                    return error;
                }

                piece.Source.AddReference();
                index = index.Insert(new IovaArea(range, piece.Source, piece.Offset, access));
                at = unchecked(at + piece.Length);
            }

            _index = index;
            return error;
        }
    }

    /// <summary>
    /// Removes every area inside a range, lowest first (spec iommufd §3.4). An area that is pinned is offered to
    /// <paramref name="notify"/>, without the lock, until it is free or a hundred rounds have passed.
    /// </summary>
    /// <param name="removed">Bytes removed, also on failure.</param>
    /// <returns><see cref="Errno.ENOENT"/> when an area reaches over either end; <see cref="Errno.EDEADLK"/> when a pin stays.</returns>
    public Errno Unmap(IovaRange range, Action<IovaRange> notify, out ulong removed)
    {
        removed = 0;
        ulong position = range.Start;
        IovaArea? stuck = null;
        int rounds = 0;
        while (true)
        {
            IovaArea? pinned = null;
            List<IovaArea> closed = [];
            lock (_lock)
            {
                IovaArea? first = _index.FindFrom(position);
                IovaArea? area = first;
                IovaArea? last = null;
                Errno error = Errno.None;
                while (area is not null && area.Range.Start <= range.Last)
                {
                    if (!range.Contains(area.Range))
                    {
                        error = Errno.ENOENT;
                        break;
                    }

                    if (area.Pins > 0)
                    {
                        area.PreventAccess = true;
                        pinned = area;
                        break;
                    }

                    closed.Add(area);
                    last = area;
                    if (area.Range.Last == ulong.MaxValue)
                    {
                        break;
                    }

                    area = _index.FindFrom(area.Range.Last + 1);
                }

                if (last is not null)
                {
                    _index = _index.Remove(first!, last);
                }

                if (error != Errno.None)
                {
                    removed += CloseAll(closed);
                    return error;
                }
            }

            removed += CloseAll(closed);
            if (pinned is null)
            {
                return Errno.None;
            }

            rounds = ReferenceEquals(pinned, stuck) ? rounds + 1 : 1;
            stuck = pinned;
            if (rounds > 101)
            {
                return Errno.EDEADLK;
            }

            notify(pinned.Range);
            position = pinned.Range.Start;
        }
    }

    /// <summary>Takes pins on a contiguously mapped range, all or nothing (spec iommufd §4.4).</summary>
    public Errno Pin(IovaRange range, DmaAccess access, out DmaPinSegment[] segments)
    {
        segments = [];
        lock (_lock)
        {
            List<DmaPinSegment> taken = [];
            ulong iova = range.Start;
            Errno error = Errno.None;
            while (true)
            {
                IovaArea? area = _index.Find(iova);
                if (area is null)
                {
                    error = Errno.ENOENT;
                    break;
                }

                error = area.Check(access);
                nint pointer = error == Errno.None ? area.Source.GetPointer(area.SourceOffset(iova)) : 0;
                if (error == Errno.None && pointer == 0)
                {
                    error = Errno.EOPNOTSUPP;
                }

                if (error != Errno.None)
                {
                    break;
                }

                ulong last = Math.Min(area.Range.Last, range.Last);
                area.Pins++;
                area.Source.AddReference();
                taken.Add(new DmaPinSegment(area, pointer, last - iova + 1));
                if (last == range.Last)
                {
                    segments = [.. taken];
                    return Errno.None;
                }

                iova = last + 1;
            }

            foreach (DmaPinSegment segment in taken)
            {
                segment.Area.Pins--;
                segment.Area.Source.RemoveReference();
            }

            return error;
        }
    }

    public void Unpin(ReadOnlySpan<DmaPinSegment> segments)
    {
        lock (_lock)
        {
            foreach (DmaPinSegment segment in segments)
            {
                segment.Area.Pins--;
            }
        }

        foreach (DmaPinSegment segment in segments)
        {
            segment.Area.Source.RemoveReference();
        }
    }

    /// <summary>Reserves a range for an owner; nobody may map there.</summary>
    /// <returns><see cref="Errno.EADDRINUSE"/> when it meets an area or an allowed range.</returns>
    public Errno Reserve(IovaRange range, object? owner)
    {
        lock (_lock)
        {
            if ((_index.FindFrom(range.Start) is { } area && area.Range.Start <= range.Last) || Array.Exists(_allowed, range.Overlaps))
            {
                return Errno.EADDRINUSE;
            }

            _reserved.Add((range, owner));
            return Errno.None;
        }
    }

    public void RemoveReservations(object? owner)
    {
        lock (_lock)
        {
            _reserved.RemoveAll(entry => ReferenceEquals(entry.Owner, owner));
        }
    }

    /// <summary>Replaces the list of ranges that automatic placement may use and that must never become reserved.</summary>
    /// <returns><see cref="Errno.EADDRINUSE"/> when one meets a reserved range; the old list stays.</returns>
    public Errno SetAllowed(ReadOnlySpan<IovaRange> ranges)
    {
        lock (_lock)
        {
            foreach (IovaRange range in ranges)
            {
                if (IntersectsReserved(range))
                {
                    return Errno.EADDRINUSE;
                }
            }

            IovaRange[] sorted = ranges.ToArray();
            Array.Sort(sorted, static (a, b) => a.Start.CompareTo(b.Start));
            _allowed = sorted;
            return Errno.None;
        }
    }

    /// <summary>Lists the ranges that are not reserved, ascending (spec iommufd §2.4).</summary>
    /// <returns>How many there are, also when <paramref name="ranges"/> is shorter.</returns>
    public int GetUsableRanges(Span<IovaRange> ranges)
    {
        lock (_lock)
        {
            int count = 0;
            foreach (IovaRange gap in Gaps(IovaRange.All, ReservedRanges()))
            {
                if (count < ranges.Length)
                {
                    ranges[count] = gap;
                }

                count++;
            }

            return count;
        }
    }

    private static ulong CloseAll(List<IovaArea> areas)
    {
        ulong bytes = 0;
        foreach (IovaArea area in areas)
        {
            area.Close();
            area.Source.RemoveReference();
            bytes += area.Range.Length;
        }

        return bytes;
    }

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

    private bool IntersectsReserved(IovaRange range)
    {
        foreach ((IovaRange reserved, object? _) in _reserved)
        {
            if (reserved.Overlaps(range))
            {
                return true;
            }
        }

        return false;
    }

    private List<IovaRange> ReservedRanges()
    {
        List<IovaRange> ranges = _reserved.ConvertAll(static entry => entry.Range);
        ranges.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        return ranges;
    }

    private Errno Place(ulong hint, ulong length, out ulong iova)
    {
        iova = 0;
        if (length == 0 || length >= ulong.MaxValue / 2)
        {
            return Errno.EOVERFLOW;
        }

        ulong align = System.Numerics.BitOperations.RoundUpToPowerOf2(length);
        if (hint != 0)
        {
            align = Math.Min(align, hint & (~hint + 1));
        }

        align = Math.Min(align, HugePageSize);
        if (align < Alignment)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreateInclusive(PageSize, ulong.MaxValue - PageSize, out IovaRange search))
        {
            return Errno.ENOSPC;
        }

        List<IovaRange> taken = Occupied();
        foreach (IovaRange window in Windows(search))
        {
            // The rule applies to the window first, which may move its start up, and then to each gap in it.
            if (!Candidate(window, hint, length, align, out ulong start)
                || !IovaRange.TryCreateInclusive(start, window.Last, out IovaRange moved))
            {
                continue;
            }

            foreach (IovaRange gap in Gaps(moved, taken))
            {
                if (Candidate(gap, hint, length, align, out iova))
                {
                    return Errno.None;
                }
            }
        }

        return Errno.ENOSPC;
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

    private List<IovaRange> Occupied()
    {
        List<IovaRange> ranges = ReservedRanges();
        foreach (IovaArea area in _index)
        {
            ranges.Add(area.Range);
        }

        ranges.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        return ranges;
    }

    private IEnumerable<IovaRange> Windows(IovaRange search)
    {
        if (_allowed.Length == 0)
        {
            yield return search;
            yield break;
        }

        IovaRange? merged = null;
        foreach (IovaRange range in _allowed)
        {
            if (merged is { } previous && previous.Last + 1 == range.Start
                && IovaRange.TryCreateInclusive(previous.Start, range.Last, out IovaRange joined))
            {
                merged = joined;
                continue;
            }

            if (merged is { } done && Clip(done, search) is { } clipped)
            {
                yield return clipped;
            }

            merged = range;
        }

        if (merged is { } final && Clip(final, search) is { } last)
        {
            yield return last;
        }
    }

    private static IovaRange? Clip(IovaRange range, IovaRange bounds)
        => IovaRange.TryCreateInclusive(Math.Max(range.Start, bounds.Start), Math.Min(range.Last, bounds.Last), out IovaRange clipped)
            ? clipped
            : null;

    /// <summary>The parts of a window that no range of a list, sorted by start, covers.</summary>
    private static IEnumerable<IovaRange> Gaps(IovaRange window, List<IovaRange> sorted)
    {
        ulong start = window.Start;
        foreach (IovaRange range in sorted)
        {
            if (range.Last < start)
            {
                continue;
            }

            if (range.Start > window.Last)
            {
                break;
            }

            if (range.Start > start && IovaRange.TryCreateInclusive(start, range.Start - 1, out IovaRange gap))
            {
                yield return gap;
            }

            if (range.Last >= window.Last)
            {
                yield break;
            }

            start = range.Last + 1;
        }

        if (IovaRange.TryCreateInclusive(start, window.Last, out IovaRange rest))
        {
            yield return rest;
        }
    }
}
