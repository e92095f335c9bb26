namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    // A slot for each of a few threads at a time, each in a cache line of its own; the first line has the array's head.
    private const int HitSlots = 8;
    private const int HitSpacing = 8;
    private readonly IovaArea?[] _hits = new IovaArea?[(HitSlots + 1) * HitSpacing];

    /// <summary>The area that contains an address, or null.</summary>
    public IovaArea? Find(ulong iova) => _index.Find(iova);

    /// <summary>Tells what can be reached by pointer where an address is, for who is inside (<see cref="EnterCursor"/>) while nothing is restricted.</summary>
    public void FindMapped(ulong iova, ref MappedRange found) => _index.FindMapped(iova, ref found);

    /// <summary>Finds the area that contains an address and enters it, without a lock: first that of the thread's last transfer, then the index's.</summary>
    /// <returns>The area, which may be a busy one and stays until <see cref="TransferGate.Exit"/>; null when there is none.</returns>
    /// <remarks>
    /// An area that was entered is the truth even when it was not looked up: whoever takes areas out of the index closes them before
    /// letting go of the lock, so that nobody could have mapped something else there.
    /// </remarks>
    public IovaArea? Enter(ulong iova)
    {
        ref IovaArea? hit = ref _hits[((Environment.CurrentManagedThreadId % HitSlots) + 1) * HitSpacing];
        IovaArea? area = hit;
        if (area is not null && area.Range.Contains(iova) && area.TryEnter())
        {
            return area;
        }

        area = _index.Find(iova);
        while (area is not null && !area.TryEnter())
        {
            // A closed area has left the index already, so that what is there now is the truth; or it is busy, and a hole is.
            IovaArea? now = _index.Find(iova);
            area = ReferenceEquals(now, area) ? null : now;
        }

        if (area is not null)
        {
            hit = area;
        }

        return area;
    }
}
