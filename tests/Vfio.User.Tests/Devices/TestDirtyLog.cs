using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.User.Tests.Devices;

/// <summary>Dirty logging that remembers the pages of a fixed size that were written.</summary>
public sealed class TestDirtyLog : IVfioDirtyLog
{
    private readonly Lock _lock = new();
    private readonly SortedSet<ulong> _pages = [];
    private ulong _pageSize;

    public IovaRange[] Ranges { get; private set; } = [];

    public void Mark(ulong iova, ulong length)
    {
        lock (_lock)
        {
            for (ulong page = iova / Unit; _pageSize != 0 && page <= (iova + length - 1) / Unit; page++)
            {
                _pages.Add(page);
            }
        }
    }

    public Errno Start(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        lock (_lock)
        {
            if (pageSize == 0 || (_pageSize != 0 && _pageSize != pageSize))
            {
                return Errno.EINVAL;
            }

            _pageSize = pageSize;
            Ranges = ranges.ToArray();
            return Errno.None;
        }
    }

    public Errno Stop()
    {
        lock (_lock)
        {
            _pageSize = 0;
            _pages.Clear();
            return Errno.None;
        }
    }

    public Errno ReadAndClear(IovaRange range, DirtyBitmap bitmap)
    {
        lock (_lock)
        {
            if (_pageSize == 0)
            {
                return Errno.EINVAL;
            }

            foreach (ulong page in _pages.ToArray())
            {
                if (IovaRange.TryCreate(page * Unit, Unit, out IovaRange dirty) && dirty.Overlaps(range))
                {
                    bitmap.Set(dirty);
                    _pages.Remove(page);
                }
            }

            return Errno.None;
        }
    }

    /// <summary>Pages are kept in the unit that was asked for, whatever unit a report wants.</summary>
    private ulong Unit => _pageSize == 0 ? 4096 : _pageSize;
}
