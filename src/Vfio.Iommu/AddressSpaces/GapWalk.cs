namespace Vfio.Iommu;

/// <summary>Walks the parts of a window that neither a reserved range nor an area covers, in ascending order.</summary>
/// <param name="window">Where to look.</param>
/// <param name="reserved">Reserved ranges in ascending order of their starts; they may overlap.</param>
/// <param name="index">The areas.</param>
internal ref struct GapWalk(IovaRange window, List<(IovaRange Range, object? Owner)> reserved, IovaIndex index)
{
    private ulong _at = window.Start;
    private int _reserved;
    private IovaIndex.Enumerator _areas = index.GetEnumeratorFrom(window.Start);
    private IovaRange? _area;
    private bool _ended;

    /// <summary>The next gap.</summary>
    /// <returns>False when there is none left.</returns>
    public bool Next(out IovaRange gap)
    {
        while (!_ended)
        {
            if (!Take(out IovaRange taken) || taken.Start > window.Last)
            {
                _ended = true;
                return IovaRange.TryCreateInclusive(_at, window.Last, out gap);
            }

            if (taken.Last < _at)
            {
                continue;
            }

            ulong from = _at;
            _ended = taken.Last >= window.Last;
            _at = _ended ? from : taken.Last + 1;
            if (taken.Start > from)
            {
                return IovaRange.TryCreateInclusive(from, taken.Start - 1, out gap);
            }
        }

        gap = default;
        return false;
    }

    /// <summary>The next range that is taken, by ascending start.</summary>
    private bool Take(out IovaRange taken)
    {
        if (_area is null && _areas.MoveNext())
        {
            _area = _areas.Current.Range;
        }

        if (_reserved < reserved.Count && (_area is null || reserved[_reserved].Range.Start <= _area.Value.Start))
        {
            taken = reserved[_reserved++].Range;
            return true;
        }

        taken = _area ?? default;
        bool any = _area is not null;
        _area = null;
        return any;
    }
}
