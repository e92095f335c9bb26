using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>A bitmap of pages, least significant bit first, relative to the start of the reported range (<c>iova_bitmap</c>).</summary>
public sealed class DirtyBitmap
{
    private readonly IovaRange _range;
    private readonly int _shift;
    private readonly ulong[] _words;

    private DirtyBitmap(IovaRange range, int shift, int words)
    {
        _range = range;
        _shift = shift;
        _words = new ulong[words];
    }

    /// <summary>Page size in bytes.</summary>
    public ulong PageSize => 1UL << _shift;

    /// <summary>The bits in 64-bit words.</summary>
    public ReadOnlySpan<ulong> Words => _words;

    /// <summary>Makes an empty bitmap.</summary>
    /// <param name="range">The range to report.</param>
    /// <param name="pageSize">Bytes that one bit stands for: a power of two, at least 1.</param>
    /// <param name="maximumBytes">Bound on the bitmap's own size.</param>
    /// <param name="bitmap">The bitmap.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for a bad page size; <see cref="Errno.E2BIG"/> over the bound.</returns>
    public static Errno TryCreate(IovaRange range, ulong pageSize, ulong maximumBytes, out DirtyBitmap? bitmap)
    {
        bitmap = null;
        if (!BitOperations.IsPow2(pageSize))
        {
            return Errno.EINVAL;
        }

        int shift = BitOperations.TrailingZeroCount(pageSize);
        ulong words = ((range.Last - range.Start) >> shift) / 64 + 1;
        if (words > maximumBytes / 8 || words > int.MaxValue / 8)
        {
            return Errno.E2BIG;
        }

        bitmap = new DirtyBitmap(range, shift, (int)words);
        return Errno.None;
    }

    /// <summary>Marks pages dirty; what lies outside the reported range is left out.</summary>
    /// <param name="dirty">The addresses written.</param>
    public void Set(IovaRange dirty)
    {
        if (!dirty.Overlaps(_range))
        {
            return;
        }

        ulong first = (Math.Max(dirty.Start, _range.Start) - _range.Start) >> _shift;
        ulong last = (Math.Min(dirty.Last, _range.Last) - _range.Start) >> _shift;
        for (ulong word = first / 64; word <= last / 64; word++)
        {
            ulong mask = ulong.MaxValue;
            if (word == first / 64)
            {
                mask &= ulong.MaxValue << (int)(first % 64);
            }

            if (word == last / 64)
            {
                mask &= ulong.MaxValue >> (63 - (int)(last % 64));
            }

            _words[word] |= mask;
        }
    }
}
