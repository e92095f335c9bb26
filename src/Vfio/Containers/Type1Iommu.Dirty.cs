using System.Numerics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class Type1Iommu
{
    private const ulong MaximumPages = int.MaxValue;
    private bool _tracking;
    private ulong _bitmapBytes;

    /// <summary>Begins to note which pages devices write; does nothing when it is on.</summary>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EACCES"/> in version 1; <see cref="Errno.EINVAL"/> for a mapping of more than 2³¹ − 1
    /// pages; <see cref="Errno.ENOMEM"/> when the bitmaps of all mappings would exceed 256 MiB.
    /// </returns>
    /// <remarks>VFIO_IOMMU_DIRTY_PAGES with START; spec vfio-core §8.6.</remarks>
    public Errno StartDirtyTracking()
    {
        if (!_isVersion2)
        {
            return Errno.EACCES;
        }

        lock (_lock)
        {
            if (_released)
            {
                return Errno.EINVAL;
            }

            if (_tracking)
            {
                return Errno.None;
            }

            foreach (Type1Mapping mapping in _mappings)
            {
                Errno error = AddBitmap(mapping);
                if (error != Errno.None)
                {
                    _mappings.ForEach(DropBitmap);
                    return error;
                }

                mapping.MarkPinsDirty(Unit);
            }

            _tracking = true;
            return Errno.None;
        }
    }

    /// <summary>Ends tracking; does nothing when it is off.</summary>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EACCES"/> in version 1.</returns>
    /// <remarks>VFIO_IOMMU_DIRTY_PAGES with STOP.</remarks>
    public Errno StopDirtyTracking()
    {
        if (!_isVersion2)
        {
            return Errno.EACCES;
        }

        lock (_lock)
        {
            _tracking = false;
            _mappings.ForEach(DropBitmap);
            return Errno.None;
        }
    }

    /// <summary>Reports which pages of a range were written since the last report.</summary>
    /// <param name="iova">First address: bit 0 of the bitmap.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="bitmap">Unit and length of the bitmap.</param>
    /// <param name="target">Receives the bitmap, which the caller has cleared: words that no mapping touches are left alone.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EACCES"/> in version 1; <see cref="Errno.EINVAL"/> for bad numbers, when tracking is off, or
    /// for a mapping that reaches over an end of the range; <see cref="Errno.EOVERFLOW"/>; <see cref="Errno.EFAULT"/>.
    /// </returns>
    /// <remarks>VFIO_IOMMU_DIRTY_PAGES with GET_BITMAP. Pages that are still pinned are reported again each time.</remarks>
    public Errno GetDirtyPages(ulong iova, ulong size, Type1Bitmap bitmap, UserArgument target)
    {
        if (!_isVersion2)
        {
            return Errno.EACCES;
        }

        if (size == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, size, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        if (!bitmap.IsSufficient(size))
        {
            return Errno.EINVAL;
        }

        lock (_lock)
        {
            if (_released || bitmap.Unit != Unit || ((iova | size) & (Unit - 1)) != 0 || !_tracking || Straddles(range))
            {
                return Errno.EINVAL;
            }

            for (int i = IndexFrom(range.Start); i < _mappings.Count && _mappings[i].Range.Start <= range.Last; i++)
            {
                Errno error = Report(_mappings[i], range.Start, target);
                if (error != Errno.None)
                {
                    return error;
                }
            }

            return Errno.None;
        }
    }

    private Errno AddBitmap(Type1Mapping mapping)
    {
        ulong pages = mapping.Range.Length >> BitOperations.TrailingZeroCount(Unit);
        if (pages > MaximumPages)
        {
            return Errno.EINVAL;
        }

        if (_bitmapBytes + (Words(pages) * sizeof(ulong)) > Type1Bitmap.MaximumSize)
        {
            return Errno.ENOMEM;
        }

        SetBitmap(mapping, pages);
        return Errno.None;
    }

    private void SetBitmap(Type1Mapping mapping, ulong pages)
    {
        mapping.Dirty = new ulong[Words(pages)];
        _bitmapBytes += Words(pages) * sizeof(ulong);
    }

    private void DropBitmap(Type1Mapping mapping)
    {
        if (mapping.Dirty is { } dirty)
        {
            _bitmapBytes -= (ulong)dirty.Length * sizeof(ulong);
            mapping.Dirty = null;
        }
    }

    private static ulong Words(ulong pages) => (pages + 63) / 64;

    /// <summary>Writes a mapping's bits where they belong in the user's bitmap, and starts them afresh (<c>update_user_bitmap</c>).</summary>
    private Errno Report(Type1Mapping mapping, ulong origin, UserArgument target)
    {
        if (mapping.IsHardwareMapped && HasUntrackedGroup)
        {
            mapping.MarkAllDirty();
        }

        const int Block = 128;
        Span<ulong> block = stackalloc ulong[Block];
        ulong[] dirty = mapping.Dirty!;
        int unitShift = BitOperations.TrailingZeroCount(Unit);
        ulong pages = mapping.Range.Length >> unitShift;
        ulong firstBit = (mapping.Range.Start - origin) >> unitShift;
        int shift = (int)(firstBit % 64);
        ulong words = Words(pages + (ulong)shift);
        for (ulong done = 0; done < words; done += Block)
        {
            int count = (int)Math.Min(Block, words - done);
            for (int i = 0; i < count; i++)
            {
                block[i] = Shifted(dirty, pages, (long)done + i, shift);
            }

            ulong offset = ((firstBit / 64) + done) * sizeof(ulong);
            if (done == 0 && shift != 0)
            {
                // Bits below belong to the mapping before, whose report is there already.
                Errno readError = target.Read(offset, out ulong old);
                if (readError != Errno.None)
                {
                    return Errno.EFAULT;
                }

                block[0] |= old;
            }

            if (target.Write(offset, MemoryMarshal.AsBytes(block[..count])) != Errno.None)
            {
                return Errno.EFAULT;
            }
        }

        dirty.AsSpan().Clear();
        mapping.MarkPinsDirty(Unit);
        return Errno.None;
    }

    /// <summary>A word of the bits moved up by <paramref name="shift"/>; bits beyond the mapping are clear.</summary>
    private static ulong Shifted(ulong[] bits, ulong pages, long index, int shift)
    {
        ulong word = Masked(bits, pages, index) << shift;
        return shift == 0 ? word : word | (Masked(bits, pages, index - 1) >> (64 - shift));
    }

    private static ulong Masked(ulong[] bits, ulong pages, long index)
    {
        if (index < 0 || index >= bits.Length)
        {
            return 0;
        }

        ulong left = pages - ((ulong)index * 64);
        return left >= 64 ? bits[index] : bits[index] & ((1ul << (int)left) - 1);
    }
}
