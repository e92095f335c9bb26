using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>Which pages are pinned, by all sources that were ever mapped: one that lost its last area and still pins is seen as well.</summary>
internal sealed class PinnedFrames
{
    private const ulong PageSize = 4096;
    private readonly Lock _lock = new();
    private readonly HashSet<MemorySource> _sources = new(ReferenceEqualityComparer.Instance);
    private int _limit = 64;

    public void Add(MemorySource source)
    {
        lock (_lock)
        {
            if (_sources.Add(source) && _sources.Count > _limit)
            {
                Prune();
                _limit = Math.Max(64, _sources.Count * 2);
            }
        }
    }

    /// <summary>How many sources pin each page: a source pins a page once, however many areas and accesses use it.</summary>
    public Dictionary<MemoryFrame, int> Count(FrameFinder frames)
    {
        lock (_lock)
        {
            Prune();
            Dictionary<MemoryFrame, int> pins = [];
            foreach (MemorySource source in _sources)
            {
                Count(source, frames, pins);
            }

            return pins;
        }
    }

    private static void Count(MemorySource source, FrameFinder frames, Dictionary<MemoryFrame, int> pins)
    {
        if (source.Ledger is not { Pinned: > 0 } ledger)
        {
            return;
        }

        ulong lead = source.PlacementHint(0) % PageSize;
        for (ulong page = 0; page * PageSize < lead + source.Length; page++)
        {
            ulong offset = page == 0 ? 0 : (page * PageSize) - lead;
            if (ledger.Holds(page) && frames.TryFind(source, offset, out MemoryFrame frame) == Errno.None)
            {
                pins[frame] = pins.GetValueOrDefault(frame) + 1;
            }
        }
    }

    private void Prune() => _sources.RemoveWhere(static source => source.IsReleased && source.Ledger is not { Pinned: > 0 });
}
