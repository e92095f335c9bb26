namespace Vfio.Iommu;

/// <summary>Walks the parts of a window that no reserved range covers, in ascending order.</summary>
/// <param name="window">Where to look.</param>
/// <param name="reserved">Reserved ranges in ascending order of their starts; they may overlap.</param>
internal ref struct GapWalk(IovaRange window, List<(IovaRange Range, object? Owner)> reserved)
{
    private ulong _at = window.Start;
    private int _next;
    private bool _ended;

    /// <summary>The next gap.</summary>
    /// <returns>False when there is none left.</returns>
    public bool Next(out IovaRange gap)
    {
        while (!_ended)
        {
            if (_next == reserved.Count || reserved[_next].Range.Start > window.Last)
            {
                _ended = true;
                return IovaRange.TryCreateInclusive(_at, window.Last, out gap);
            }

            IovaRange taken = reserved[_next++].Range;
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
}
