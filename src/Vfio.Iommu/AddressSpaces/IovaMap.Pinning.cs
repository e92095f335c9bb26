using Vfio.Abi;

namespace Vfio.Iommu;

internal sealed partial class IovaMap
{
    /// <summary>Takes pins on a contiguously mapped range, all or nothing (spec iommufd §4.4).</summary>
    /// <param name="locks">Whether nobody can ask the pins back: an unmap then fails at once.</param>
    public Errno Pin(IovaRange range, DmaAccess access, bool locks, bool byPointer, out DmaPinSegment[] segments)
    {
        segments = [];
        lock (_lock)
        {
            List<DmaPinSegment> taken = [];
            ulong iova = range.Start;
            Errno error;
            while (true)
            {
                IovaArea? area = _index.Find(iova);
                if (area is null)
                {
                    error = Errno.ENOENT;
                    break;
                }

                ulong offset = area.SourceOffset(iova);
                ulong last = Math.Min(area.Range.Last, range.Last);
                error = area.Check(access);
                nint pointer = error == Errno.None ? area.Source.GetPointer(offset) : 0;
                if (error == Errno.None)
                {
                    error = pointer == 0 && byPointer ? Errno.EOPNOTSUPP : area.Source.Pin(offset, last - iova + 1);
                }

                if (error != Errno.None)
                {
                    break;
                }

                area.Pins++;
                area.Locks += locks ? 1 : 0;
                area.Source.AddReference();
                taken.Add(new DmaPinSegment(area, offset, pointer, last - iova + 1));
                if (last == range.Last)
                {
                    segments = [.. taken];
                    return Errno.None;
                }

                iova = last + 1;
            }

            Release(taken, locks);
            taken.ForEach(static segment => segment.Area.Source.RemoveReference());
            return error;
        }
    }

    public void Unpin(IReadOnlyList<DmaPinSegment> segments, bool locks)
    {
        lock (_lock)
        {
            Release(segments, locks);
        }

        foreach (DmaPinSegment segment in segments)
        {
            segment.Area.Source.RemoveReference();
        }
    }

    private static void Release(IReadOnlyList<DmaPinSegment> segments, bool locks)
    {
        foreach (DmaPinSegment segment in segments)
        {
            segment.Area.Pins--;
            segment.Area.Locks -= locks ? 1 : 0;
            segment.Area.Source.Unpin(segment.Offset, segment.Length);
        }
    }
}
