using Vfio.Abi;

namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    /// <summary>
    /// Removes every area inside a range, lowest first (spec iommufd §3.4). An area that is pinned is offered to
    /// <paramref name="notify"/>, without a lock, until it is free or a hundred rounds have passed.
    /// </summary>
    /// <param name="removed">Bytes removed, also on failure.</param>
    /// <returns>
    /// <see cref="Errno.ENOENT"/> when an area reaches over either end; <see cref="Errno.EBUSY"/> when one is being made or unmade, or is a
    /// hardware queue's memory; <see cref="Errno.EDEADLK"/> when a pin stays.
    /// </returns>
    public Errno Unmap(IovaRange range, Action<IovaRange> notify, out ulong removed)
    {
        removed = 0;
        ulong position = range.Start;
        IovaArea? stuck = null;
        int rounds = 0;
        while (true)
        {
            Errno error = TakeOut(range, position, out List<IovaArea> areas, out IovaArea? pinned, out bool shown);
            areas.ForEach(static area => area.Close());
            WaitForCursors();
            if (shown)
            {
                TakeDown(areas);
            }

            foreach (IovaArea area in areas)
            {
                area.Source.RemoveReference();
                removed += area.Range.Length;
            }

            if (error != Errno.None || pinned is null)
            {
                return error;
            }

            // Counted for each area by itself, unlike the kernel (spec iommufd Q10).
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

    /// <summary>Takes free areas out of the index, or marks them busy while domains show them, up to the first that is not free.</summary>
    private Errno TakeOut(IovaRange range, ulong position, out List<IovaArea> areas, out IovaArea? pinned, out bool shown)
    {
        areas = [];
        pinned = null;
        lock (_lock)
        {
            Errno error = Errno.None;
            IovaIndex.Enumerator walk = _index.GetEnumeratorFrom(position);
            while (walk.MoveNext() && walk.Current.Range.Start <= range.Last)
            {
                IovaArea area = walk.Current;
                error = area.IsBusy || area.Locks > 0 ? Errno.EBUSY : !range.Contains(area.Range) ? Errno.ENOENT : Errno.None;
                if (error != Errno.None)
                {
                    break;
                }

                if (area.Pins > 0)
                {
                    RefuseAccess(area);
                    pinned = area;
                    break;
                }

                areas.Add(area);
            }

            shown = _domains.Length > 0;
            if (shown)
            {
                areas.ForEach(MakeBusy);
            }
            else if (areas.Count > 0)
            {
                // Closed before the lock is let go: nothing else may be mapped there while somebody can still enter them.
                _index = _index.RemoveRun(areas);
                areas.ForEach(ForgetRestriction);
                areas.ForEach(static area => area.Refuse());
            }

            return error;
        }
    }

    /// <summary>Takes busy areas away from the domains, and then out of the index.</summary>
    private void TakeDown(List<IovaArea> areas)
    {
        lock (_domainLock)
        {
            areas.ForEach(Hide);
            lock (_lock)
            {
                _index = _index.Remove(areas);
                areas.ForEach(ForgetRestriction);
            }
        }
    }
}
