using System.Diagnostics;
using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// The I/O address space of an <see cref="Ioas"/>: which addresses are mapped, reserved and allowed, and the domains that show it to
/// hardware (iommufd's <c>io_pagetable</c>).
/// </summary>
/// <remarks>
/// <para>
/// Changes are made under one lock and published as an immutable index, which <see cref="Find"/> reads without it. While there are
/// domains, an area that is made or unmade stays in the index as a busy one: it holds its addresses and is otherwise invisible, so that
/// the slow work on memory and domains needs the domain lock only.
/// </para>
/// <para>Lock order: the domain lock, then this lock, then a memory source's. No callback of a device runs under any of them.</para>
/// </remarks>
internal sealed partial class IovaMap
{
    private const ulong PageSize = 4096;
    private const ulong HugePageSize = 2 << 20;
    private readonly Lock _lock = new();
    private readonly List<(IovaRange Range, object? Owner)> _reserved = [];
    private volatile IovaIndex _index = IovaIndex.Empty;
    private IovaRange[] _allowed = [];
    private IovaRange[] _windows = Windows([]);
    private int _pageAligned;
    private ulong _domainAlignment = 1;
    private bool _largePages = true;

    /// <summary>Smallest unit of addresses and lengths in bytes: 1, or more while a domain or somebody who pins needs it, at most a page.</summary>
    public ulong Alignment => Volatile.Read(ref _pageAligned) > 0 ? PageSize : Volatile.Read(ref _domainAlignment);

    public int Count => _index.Count;

    /// <summary>Whether domains may use entries larger than a page.</summary>
    public bool LargePages
    {
        get
        {
            lock (_lock)
            {
                return _largePages;
            }
        }
    }

    /// <summary>Whether an area is being made or unmade right now.</summary>
    public bool IsBusy
    {
        get
        {
            foreach (IovaArea area in _index)
            {
                if (area.IsBusy)
                {
                    return true;
                }
            }

            return false;
        }
    }

    public IovaIndex.Enumerator GetEnumerator() => _index.GetEnumerator();

    /// <summary>Raises the alignment to a page for one more user of the map.</summary>
    /// <returns><see cref="Errno.EADDRINUSE"/> when an area is not aligned.</returns>
    public Errno RequirePageAlignment()
    {
        lock (_lock)
        {
            if (!CanAlign(PageSize))
            {
                return Errno.EADDRINUSE;
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

    /// <summary>Allows or forbids entries larger than a page (IOMMU_OPTION_HUGE_PAGES; spec iommufd §2.10).</summary>
    /// <returns><see cref="Errno.EINVAL"/> while a domain shows areas; <see cref="Errno.EADDRINUSE"/> when an area is not page aligned.</returns>
    public Errno SetLargePages(bool enabled)
    {
        lock (_lock)
        {
            if (_largePages == enabled)
            {
                return Errno.None;
            }

            if (!enabled && _domains.Length > 0 && _index.Count > 0)
            {
                return Errno.EINVAL;
            }

            if (!enabled && !CanAlign(PageSize))
            {
                return Errno.EADDRINUSE;
            }

            _pageAligned += enabled ? -1 : 1;
            _largePages = enabled;
            return Errno.None;
        }
    }

    /// <summary>Reserves ranges for an owner, all or none; nobody may map there.</summary>
    /// <returns><see cref="Errno.EADDRINUSE"/> when one meets an area or an allowed range.</returns>
    public Errno Reserve(ReadOnlySpan<IovaRange> ranges, object? owner)
    {
        lock (_lock)
        {
            foreach (IovaRange range in ranges)
            {
                if ((_index.FindFrom(range.Start) is { } area && area.Range.Start <= range.Last) || Array.Exists(_allowed, range.Overlaps))
                {
                    return Errno.EADDRINUSE;
                }
            }

            foreach (IovaRange range in ranges)
            {
                int place = _reserved.FindIndex(entry => entry.Range.Start > range.Start);
                _reserved.Insert(place < 0 ? _reserved.Count : place, (range, owner));
            }

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
            _windows = Windows(sorted);
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
            GapWalk walk = new(IovaRange.All, _reserved);
            while (walk.Next(out IovaRange gap))
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

    /// <summary>Whether every area is a multiple of a unit. The caller holds the lock.</summary>
    private bool CanAlign(ulong alignment)
    {
        Debug.Assert(_lock.IsHeldByCurrentThread, "The caller holds the lock.");
        if (alignment <= Alignment)
        {
            return true;
        }

        foreach (IovaArea area in _index)
        {
            if (((area.Range.Start | area.Range.Length | area.Hint) & (alignment - 1)) != 0)
            {
                return false;
            }
        }

        return true;
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
}
