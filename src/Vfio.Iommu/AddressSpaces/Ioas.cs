using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>An I/O address space: what a device's DMA addresses mean (iommufd's IOAS).</summary>
/// <remarks>
/// Lock order: the page tables' lock, under which devices attach; a device group's; the access list's; then the map's. None is held
/// during a callback of a device.
/// </remarks>
public sealed class Ioas : IommufdObject
{
    private const int MaximumAccesses = 65_536;
    private readonly Lock _accessLock = new();
    private readonly List<IommufdAccess> _accesses = [];

    internal Ioas(IommufdContext context)
        : base(context)
    {
    }

    /// <summary>Number of mapped areas.</summary>
    public int AreaCount => Map.Count;

    /// <summary>Unit of addresses and lengths in bytes: 1, or more, at most a page, while what is attached needs it.</summary>
    public ulong Alignment => Map.Alignment;

    internal IovaMap Map { get; } = new();

    /// <summary>Held while page tables are made for the address space and devices are attached to them.</summary>
    internal Lock PageTableLock { get; } = new();

    /// <summary>The page tables that show this address space, in the order in which they were made. Guarded by <see cref="PageTableLock"/>.</summary>
    internal List<PagingHardwarePageTable> PageTables { get; } = [];

    /// <summary>Maps memory at a given address.</summary>
    /// <param name="iova">First address, a multiple of <see cref="Alignment"/>.</param>
    /// <param name="length">Length in bytes, a multiple of <see cref="Alignment"/>.</param>
    /// <param name="source">The memory. The area takes its own reference; the caller keeps its own.</param>
    /// <param name="sourceOffset">Where the range starts in the memory.</param>
    /// <param name="access">What a device may do there: not <see cref="DmaAccess.None"/>.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for a bad number or a reserved address; <see cref="Errno.EOVERFLOW"/> when
    /// a range wraps; <see cref="Errno.EEXIST"/> when some of it is mapped already; <see cref="Errno.ENOSPC"/> when the context's limit is reached.
    /// </returns>
    /// <remarks><c>iopt_map_pages</c> with a fixed address; spec iommufd §2.6, §3.3.</remarks>
    public Errno MapFixed(ulong iova, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access)
        => access == DmaAccess.None ? Errno.EINVAL : MapFixedWithAnyRights(iova, length, source, sourceOffset, access);

    /// <summary>As <see cref="MapFixed"/>, but memory without any right is refused by page tables only, as a container's user sees it.</summary>
    internal Errno MapFixedWithAnyRights(ulong iova, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        Errno error = CheckSource(length, source, sourceOffset);
        return error != Errno.None ? error : Map.MapFixed(iova, length, source, sourceOffset, access);
    }

    /// <summary>Maps memory at the lowest free address that suits it.</summary>
    /// <param name="hint">The memory's own address or file offset: it decides alignment and the offset within a page.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="source">The memory, as for <see cref="MapFixed"/>.</param>
    /// <param name="sourceOffset">Where the range starts in the memory.</param>
    /// <param name="access">What a device may do there.</param>
    /// <param name="iova">The address chosen.</param>
    /// <returns>As for <see cref="MapFixed"/>; <see cref="Errno.ENOSPC"/> when there is no room.</returns>
    /// <remarks><c>iopt_alloc_iova</c>; spec iommufd §3.2.</remarks>
    public Errno MapAnywhere(ulong hint, ulong length, MemorySource source, ulong sourceOffset, DmaAccess access, out ulong iova)
    {
        iova = 0;
        Errno error = access == DmaAccess.None ? Errno.EINVAL : CheckSource(length, source, sourceOffset);
        return error != Errno.None ? error : Map.MapAnywhere(hint, length, source, sourceOffset, access, out iova);
    }

    /// <summary>Unmaps every area inside a range. On return no device touches their memory any more.</summary>
    /// <param name="range">The range; areas are removed whole.</param>
    /// <param name="unmapped">Bytes removed, also when an error is returned.</param>
    /// <returns>
    /// <see cref="Errno.None"/>, also when nothing was mapped; <see cref="Errno.ENOENT"/> when an area reaches over an end of the range
    /// (areas below it are gone); <see cref="Errno.EDEADLK"/> when a device does not give a pin back.
    /// </returns>
    /// <remarks><c>iopt_unmap_iova_range</c>; spec iommufd §3.4, §4.5. Devices that pinned get <c>OnDmaUnmap</c> on this thread.</remarks>
    public Errno Unmap(IovaRange range, out ulong unmapped) => Map.Unmap(range, NotifyAll, out unmapped);

    /// <summary>Whether an area covers an address, and which.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="area">The area's range.</param>
    /// <returns>True when it is mapped.</returns>
    public bool TryGetArea(ulong iova, out IovaRange area)
    {
        IovaArea? found = Map.Find(iova);
        bool isMapped = found is { IsBusy: false };
        area = isMapped ? found!.Range : default;
        return isMapped;
    }

    /// <summary>Whether every address of a range is mapped.</summary>
    /// <param name="range">The range.</param>
    /// <returns>True when there is no hole.</returns>
    public bool IsMapped(IovaRange range)
    {
        ulong iova = range.Start;
        while (TryGetArea(iova, out IovaRange area))
        {
            if (area.Last >= range.Last)
            {
                return true;
            }

            iova = area.Last + 1;
        }

        return false;
    }

    /// <summary>Counts the areas by the way in which their memory is reached. Looks at each area once, without disturbing anybody.</summary>
    /// <param name="kinds">The ways, as <see cref="MemorySource.Kind"/> names them.</param>
    /// <param name="usages">Receives for each way how many areas there are, and their length.</param>
    public void GetUsage(ReadOnlySpan<string> kinds, Span<AreaUsage> usages)
    {
        usages = usages[..kinds.Length];
        usages.Clear();
        foreach (IovaArea area in Map)
        {
            int kind = kinds.IndexOf(area.Source.Kind);
            if (kind >= 0)
            {
                usages[kind] = new AreaUsage(usages[kind].Areas + 1, unchecked(usages[kind].Bytes + area.Range.Length));
            }
        }
    }

    /// <summary>Lists the ranges in which memory may be mapped.</summary>
    /// <param name="ranges">Receives as many as fit, ascending.</param>
    /// <returns>How many there are.</returns>
    /// <remarks>IOMMU_IOAS_IOVA_RANGES; spec iommufd §2.4.</remarks>
    public int GetUsableRanges(Span<IovaRange> ranges) => Map.GetUsableRanges(ranges);

    /// <summary>Sets where automatic placement may map, and which ranges no device may ever make unusable.</summary>
    /// <param name="ranges">Ranges that do not overlap; none lifts the restriction.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.EINVAL"/> for overlaps, or <see cref="Errno.EADDRINUSE"/>.</returns>
    /// <remarks>IOMMU_IOAS_ALLOW_IOVAS; spec iommufd §2.5.</remarks>
    public Errno SetAllowedRanges(ReadOnlySpan<IovaRange> ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (ranges[i].Overlaps(ranges[j]))
                {
                    return Errno.EINVAL;
                }
            }
        }

        return Map.SetAllowed(ranges);
    }

    /// <summary>Maps what another range shows.</summary>
    /// <param name="source">The address space to copy from; may be this one.</param>
    /// <param name="range">The range there, wholly and contiguously mapped.</param>
    /// <param name="access">What a device may do with the copy; need not be what it may do with the original.</param>
    /// <param name="isFixed">Whether <paramref name="iova"/> is the address wanted.</param>
    /// <param name="iova">The address of the copy.</param>
    /// <returns><see cref="Errno.ENOENT"/> for a hole in the source, <see cref="Errno.EPERM"/> for memory that must not be written, otherwise as <see cref="MapFixed"/>.</returns>
    /// <remarks>IOMMU_IOAS_COPY; spec iommufd §2.8, §3.5. Each area that the source range touches becomes an area of its own.</remarks>
    public Errno Copy(Ioas source, IovaRange range, DmaAccess access, bool isFixed, ref ulong iova)
    {
        if (access == DmaAccess.None)
        {
            return Errno.EINVAL;
        }

        List<MemoryPiece> pieces = [];
        Errno error = source.Map.GetPieces(range, pieces);
        if (error != Errno.None)
        {
            return error;
        }

        error = Map.Count + pieces.Count > Context.Limits.MaximumAreas
            ? Errno.ENOSPC
            : Map.MapPieces(isFixed, ref iova, range.Length, pieces, access);
        pieces.ForEach(static piece => piece.Source.RemoveReference());
        return error;
    }

    internal Errno Join(IommufdAccess access)
    {
        if (access.NeedsPages)
        {
            Errno error = Map.RequirePageAlignment();
            if (error != Errno.None)
            {
                return error;
            }
        }

        lock (_accessLock)
        {
            if (_accesses.Count < MaximumAccesses)
            {
                _accesses.Add(access);
                return Errno.None;
            }
        }

        if (access.NeedsPages)
        {
            Map.ReleasePageAlignment();
        }

        return Errno.EBUSY;
    }

    internal void Leave(IommufdAccess access)
    {
        lock (_accessLock)
        {
            _accesses.Remove(access);
        }

        if (access.NeedsPages)
        {
            Map.ReleasePageAlignment();
        }
    }

    internal override void Destroyed() => Unmap(IovaRange.All, out _);

    private Errno CheckSource(ulong length, MemorySource source, ulong sourceOffset)
    {
        if (length == 0 || sourceOffset > source.Length || length > source.Length - sourceOffset)
        {
            return Errno.EINVAL;
        }

        if (Map.Count >= Context.Limits.MaximumAreas)
        {
            return Errno.ENOSPC;
        }

        Context.Label(source);
        return Errno.None;
    }

    /// <summary>Tells every attached access about an area, whether or not it pinned there (spec iommufd §4.5.3).</summary>
    private void NotifyAll(IovaRange area)
    {
        IommufdAccess[] accesses;
        lock (_accessLock)
        {
            accesses = [.. _accesses];
        }

        foreach (IommufdAccess access in accesses)
        {
            // A hardware queue's own access hears nothing: its pins are locks.
            access.NotifyUnmap(area.Start, area.Length);
        }
    }
}
