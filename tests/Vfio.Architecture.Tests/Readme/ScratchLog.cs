using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Architecture.Tests.Readme;

public sealed class ScratchLog : IVfioDirtyLog
{
    private const int Limit = 4096;   // what is forgotten beyond it is reported as "everything"
    private readonly Lock _lock = new();
    private readonly List<IovaRange> _written = [];
    private bool _isOn;
    private bool _overflowed;

    public Errno Start(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        lock (_lock)
        {
            if (_isOn)
            {
                return Errno.EBUSY;
            }

            (_isOn, _overflowed) = (true, false);
            _written.Clear();
            return Errno.None;   // everything is logged, whatever the ranges; any page size suits
        }
    }

    public Errno Stop()
    {
        lock (_lock)
        {
            _isOn = false;
            return Errno.None;
        }
    }

    public Errno ReadAndClear(IovaRange range, DirtyBitmap bitmap)
    {
        lock (_lock)
        {
            if (!_isOn)
            {
                return Errno.EINVAL;
            }

            foreach (IovaRange written in _overflowed ? [IovaRange.All] : _written)
            {
                bitmap.Set(written);   // what lies outside of the bitmap is left out
            }

            _written.RemoveAll(written => range.Contains(written));
            return Errno.None;
        }
    }

    public void Add(ulong iova, ulong length)
    {
        lock (_lock)
        {
            if (_isOn && IovaRange.TryCreate(iova, length, out IovaRange range))
            {
                _overflowed |= _written.Count >= Limit;
                if (!_overflowed)
                {
                    _written.Add(range);
                }
            }
        }
    }
}
