using Vfio.Abi;

namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    /// <summary>Maps memory at a given address (spec iommufd §3.3).</summary>
    public Errno MapFixed(ulong iova, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        IovaArea area;
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

            area = Insert(range, source, sourceOffset, access);
        }

        return area.IsBusy ? Publish([area]) : Errno.None;
    }

    /// <summary>Maps memory at the lowest address that fits (spec iommufd §3.2).</summary>
    /// <param name="hint">The source's address or file offset: it decides the alignment.</param>
    public Errno MapAnywhere(ulong hint, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access, out ulong iova)
    {
        iova = 0;
        IovaArea area;
        lock (_lock)
        {
            Errno error = (length & (Alignment - 1)) != 0 ? Errno.EINVAL : Place(hint, length, out iova);
            if (error == Errno.None)
            {
                error = CheckFixed(iova, length);
            }

            if (error != Errno.None)
            {
                return error;
            }

            if ((source.PlacementHint(sourceOffset) & (PageSize - 1) & (Alignment - 1)) != 0
                || !IovaRange.TryCreate(iova, length, out IovaRange range))
            {
                return Errno.EINVAL;
            }

            area = Insert(range, source, sourceOffset, access);
        }

        return area.IsBusy ? Publish([area]) : Errno.None;
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
                if (area is null || area.IsBusy)
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
        List<IovaArea> areas = [];
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

            if (error != Errno.None)
            {
                return error;
            }

            // Published at once: a transfer must never find a piece that would be taken back, without being waited for.
            IovaIndex index = _index;
            ulong at = iova;
            foreach (MemoryPiece piece in pieces)
            {
                _ = IovaRange.TryCreate(at, piece.Length, out IovaRange range);
                piece.Source.AddReference();
                IovaArea area = Make(range, piece.Source, piece.Offset, access);
                areas.Add(area);
                index = index.Insert(area);
                at = unchecked(at + piece.Length);
            }

            _index = index;
        }

        return areas[0].IsBusy ? Publish(areas) : Errno.None;
    }

    /// <summary>Cuts the area around an address in two behind it, for users of containers that unmap in parts (spec iommufd §3.6).</summary>
    /// <returns>
    /// <see cref="Errno.None"/>, also when there is nothing to cut; <see cref="Errno.EBUSY"/>; <see cref="Errno.EINVAL"/> when the cut is not
    /// aligned, the area is pinned, or a domain may show it by an entry across the cut; <see cref="Errno.EOPNOTSUPP"/> for a device's memory.
    /// </returns>
    public Errno CutBehind(ulong iova)
    {
        lock (_domainLock)
        {
            lock (_lock)
            {
                IovaArea? area = _index.Find(iova);
                if (area is null || iova == area.Range.Start || iova == area.Range.Last)
                {
                    return Errno.None;
                }

                if (area.IsBusy || area.PreventAccess)
                {
                    return Errno.EBUSY;
                }

                if (area.Source.IsDeviceMemory)
                {
                    return Errno.EOPNOTSUPP;
                }

                ulong unaligned = Alignment - 1;
                if (((iova + 1) & unaligned) != 0
                    || (area.Source.PlacementHint(area.SourceOffset(iova + 1)) & unaligned) != 0
                    || area.Pins > 0
                    || (_domains.Length > 0 && _largePages))
                {
                    return Errno.EINVAL;
                }

                _ = IovaRange.TryCreateInclusive(area.Range.Start, iova, out IovaRange below);
                _ = IovaRange.TryCreateInclusive(iova + 1, area.Range.Last, out IovaRange above);
                area.Source.AddReference(); // The old area's becomes the first part's.
                _index = _index.Remove(area)
                    .Insert(new IovaArea(below, area.Source, area.SourceOffset(below.Start), area.Access) { IsHeld = area.IsHeld })
                    .Insert(new IovaArea(above, area.Source, area.SourceOffset(above.Start), area.Access) { IsHeld = area.IsHeld });

                // Last, and still under the lock: an unmap of a part must find no transfer left that entered by the whole.
                area.Close();
                WaitForCursors();
                return Errno.None;
            }
        }
    }

    /// <summary>Puts an area in the index; a busy one while there are domains that must show it first. The caller holds the lock.</summary>
    private IovaArea Insert(IovaRange range, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        source.AddReference();
        IovaArea area = Make(range, source, sourceOffset, access);
        _index = _index.Insert(area);
        return area;
    }

    private IovaArea Make(IovaRange range, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        IovaArea area = new(range, source, sourceOffset, access);
        if (_domains.Length > 0)
        {
            MakeBusy(area);
        }

        return area;
    }
}
