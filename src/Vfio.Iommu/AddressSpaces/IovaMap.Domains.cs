using System.Diagnostics;
using Vfio.Abi;

namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    private readonly Lock _domainLock = new();
    private IPagingDomain[] _domains = [];

    /// <summary>The page sizes that all domains have, as a container's user is told: nothing below a page, nothing below the alignment.</summary>
    public ulong CommonPageSizes
    {
        get
        {
            lock (_lock)
            {
                ulong sizes = ulong.MaxValue;
                foreach (IPagingDomain domain in _domains)
                {
                    sizes &= domain.PageSizes;
                }

                // Smaller ones count as a page: it is a multiple of them.
                const ulong Below = PageSize - 1;
                sizes = (sizes & Below) != 0 ? (sizes & ~Below) | PageSize : sizes & ~Below;
                return sizes & ~(Alignment - 1);
            }
        }
    }

    /// <summary>Shows the address space to one domain more: its rules apply from now on, and all areas are put in place and mapped.</summary>
    /// <returns>
    /// <see cref="Errno.EINVAL"/> when its smallest page is larger than ours; <see cref="Errno.EADDRINUSE"/> when an area or an allowed range
    /// does not suit it; what the memory or the domain reported. Nothing is then changed.
    /// </returns>
    /// <remarks><c>iopt_table_add_domain</c>; spec iommufd §1.7.</remarks>
    public Errno AddDomain(IPagingDomain domain)
    {
        lock (_domainLock)
        {
            IovaIndex areas;
            lock (_lock)
            {
                ulong alignment = domain.PageSizes & (~domain.PageSizes + 1);
                Debug.Assert(!_domains.Contains(domain), "A domain belongs to one page table.");
                if (alignment > PageSize)
                {
                    return Errno.EINVAL;
                }

                if (!CanAlign(alignment))
                {
                    return Errno.EADDRINUSE;
                }

                Errno reserved = Reserve(Beside(domain.Aperture), domain);
                if (reserved != Errno.None)
                {
                    return reserved;
                }

                _domains = [.. _domains, domain];
                Volatile.Write(ref _domainAlignment, Math.Max(_domainAlignment, alignment));
                areas = _index;
            }

            // From here on unmaps wait for the domain lock, and new areas are busy until they have passed it.
            Errno error = Fill(domain, areas);
            if (error != Errno.None)
            {
                Drop(domain);
            }

            return error;
        }
    }

    /// <summary>Takes the address space away from a domain. With the last one memory is let go, except where an access pinned it.</summary>
    /// <remarks><c>iopt_table_remove_domain</c>.</remarks>
    public void RemoveDomain(IPagingDomain domain)
    {
        lock (_domainLock)
        {
            domain.Unmap(IovaRange.All);
            if (_domains.Length == 1)
            {
                foreach (IovaArea area in _index)
                {
                    LetGo(area);
                }
            }

            Drop(domain);
        }
    }

    /// <summary>Reports what devices wrote to a contiguously mapped range, up to its first hole (spec iommufd §3.7, Q3).</summary>
    public void ReadWritten(IPagingDomain domain, IovaRange range, bool clear, Action<IovaRange>? report)
    {
        lock (_domainLock)
        {
            ulong iova = range.Start;
            while (_index.Find(iova) is { IsBusy: false } area)
            {
                ulong last = Math.Min(area.Range.Last, range.Last);
                _ = IovaRange.TryCreateInclusive(iova, last, out IovaRange part);
                domain.ReadWritten(part, clear, report);
                if (last == range.Last)
                {
                    return;
                }

                iova = last + 1;
            }
        }
    }

    /// <summary>Starts or stops noting what devices write; starting forgets what was written before (spec iommufd §2.14).</summary>
    public Errno SetTracking(IPagingDomain domain, bool enabled)
    {
        lock (_domainLock)
        {
            if (enabled)
            {
                domain.ReadWritten(IovaRange.All, clear: true, null);
            }

            return domain.SetTracking(enabled);
        }
    }

    /// <summary>Puts new busy areas in place and shows them to all domains; then everybody sees them. On failure they are gone.</summary>
    private Errno Publish(List<IovaArea> areas)
    {
        Errno error = Errno.None;
        lock (_domainLock)
        {
            int shown = 0;
            for (; shown < areas.Count && error == Errno.None; shown++)
            {
                error = Show(areas[shown]);
            }

            if (error != Errno.None)
            {
                for (int i = 0; i < shown - 1; i++)
                {
                    Hide(areas[i]);
                }
            }

            lock (_lock)
            {
                if (error == Errno.None)
                {
                    areas.ForEach(EndBusy);
                }
                else
                {
                    _index = _index.Remove(areas);
                    areas.ForEach(ForgetRestriction);
                    areas.ForEach(static area => area.Refuse());
                }
            }
        }

        if (error != Errno.None)
        {
            areas.ForEach(static area => area.Source.RemoveReference());
        }

        return error;
    }

    /// <summary>Puts an area's memory in place and maps it in all domains, or does nothing. The caller holds the domain lock.</summary>
    private Errno Show(IovaArea area)
    {
        if (_domains.Length == 0)
        {
            return Errno.None;
        }

        Errno error = Hold(area);
        for (int i = 0; i < _domains.Length && error == Errno.None; i++)
        {
            error = Map(_domains[i], area);
            if (error != Errno.None)
            {
                while (--i >= 0)
                {
                    _domains[i].Unmap(area.Range);
                }

                LetGo(area);
                break;
            }
        }

        return error;
    }

    /// <summary>Undoes <see cref="Show"/>. The caller holds the domain lock.</summary>
    private void Hide(IovaArea area)
    {
        foreach (IPagingDomain domain in _domains)
        {
            domain.Unmap(area.Range);
        }

        LetGo(area);
    }

    /// <summary>Shows all visible areas to a new domain, or none.</summary>
    private Errno Fill(IPagingDomain domain, IovaIndex areas)
    {
        List<IovaArea> held = [];
        foreach (IovaArea area in areas)
        {
            if (area.IsBusy)
            {
                continue;
            }

            bool fresh = !area.IsHeld;
            Errno error = fresh ? Hold(area) : Errno.None;
            if (error == Errno.None)
            {
                if (fresh)
                {
                    held.Add(area);
                }

                error = Map(domain, area);
            }

            if (error != Errno.None)
            {
                domain.Unmap(IovaRange.All);
                held.ForEach(LetGo);
                return error;
            }
        }

        return Errno.None;
    }

    private Errno Hold(IovaArea area)
    {
        Debug.Assert(_domainLock.IsHeldByCurrentThread, "The caller holds the domain lock.");
        Errno error = area.Source.Pin(area.SourceOffset(area.Range.Start), area.Range.Length);
        area.IsHeld = error == Errno.None;
        return error;
    }

    private void LetGo(IovaArea area)
    {
        Debug.Assert(_domainLock.IsHeldByCurrentThread, "The caller holds the domain lock.");
        if (area.IsHeld)
        {
            area.IsHeld = false;
            area.Source.Unpin(area.SourceOffset(area.Range.Start), area.Range.Length);
        }
    }

    /// <summary>Maps an area in one domain: in one piece, or page by page where large entries are forbidden.</summary>
    private Errno Map(IPagingDomain domain, IovaArea area)
    {
        if (area.Source.IsRevoked)
        {
            return Errno.None; // It never comes back for this area.
        }

        if (_largePages)
        {
            return domain.Map(area.Range, area.Source, area.SourceOffset(area.Range.Start), area.Access);
        }

        for (ulong at = area.Range.Start; ;)
        {
            _ = IovaRange.TryCreateInclusive(at, at | (PageSize - 1), out IovaRange page);
            Errno error = domain.Map(page, area.Source, area.SourceOffset(at), area.Access);
            if (error != Errno.None)
            {
                domain.Unmap(area.Range);
                return error;
            }

            if (page.Last == area.Range.Last)
            {
                return Errno.None;
            }

            at = page.Last + 1;
        }
    }

    private void Drop(IPagingDomain domain)
    {
        lock (_lock)
        {
            _domains = Array.FindAll(_domains, other => !ReferenceEquals(other, domain));
            RemoveReservations(domain);
            ulong alignment = 1;
            foreach (IPagingDomain other in _domains)
            {
                alignment = Math.Max(alignment, other.PageSizes & (~other.PageSizes + 1));
            }

            Volatile.Write(ref _domainAlignment, alignment);
        }
    }

    /// <summary>What a domain cannot translate.</summary>
    private static IovaRange[] Beside(IovaRange aperture)
    {
        List<IovaRange> ranges = [];
        if (aperture.Start > 0 && IovaRange.TryCreateInclusive(0, aperture.Start - 1, out IovaRange below))
        {
            ranges.Add(below);
        }

        if (aperture.Last < ulong.MaxValue && IovaRange.TryCreateInclusive(aperture.Last + 1, ulong.MaxValue, out IovaRange above))
        {
            ranges.Add(above);
        }

        return [.. ranges];
    }
}
