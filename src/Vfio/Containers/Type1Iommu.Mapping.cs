using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class Type1Iommu
{
    /// <summary>Notifications about one mapping after the first, before the unmap gives up.</summary>
    private const int MaximumRetries = 10;

    /// <summary>Maps memory, or gives an invalidated mapping its new address.</summary>
    /// <param name="flags">Rights, or <see cref="Type1MapFlags.UpdateAddress"/>.</param>
    /// <param name="memory">Whose memory.</param>
    /// <param name="address">Its first address there.</param>
    /// <param name="iova">First address for devices.</param>
    /// <param name="size">Length in bytes.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for bad numbers or flags, or an address that no device can use;
    /// <see cref="Errno.EOVERFLOW"/> for a range that wraps; <see cref="Errno.EEXIST"/> when some of it is mapped;
    /// <see cref="Errno.ENOENT"/> for an update of nothing; <see cref="Errno.ENOSPC"/> when the budget is used up;
    /// <see cref="Errno.EFAULT"/> and <see cref="Errno.ENOMEM"/> when hardware shall see memory that is not there or may not be kept.
    /// </returns>
    /// <remarks>VFIO_IOMMU_MAP_DMA (<c>vfio_dma_do_map</c>); spec vfio-core §8.2 gives the order of the checks.</remarks>
    public Errno Map(Type1MapFlags flags, IUserMemory memory, ulong address, ulong iova, ulong size)
    {
        const Type1MapFlags Rights = Type1MapFlags.Read | Type1MapFlags.Write;
        if ((flags & ~(Rights | Type1MapFlags.UpdateAddress)) != 0 || size == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, size, out IovaRange range) || !IovaRange.TryCreate(address, size, out _))
        {
            return Errno.EOVERFLOW;
        }

        bool update = (flags & Type1MapFlags.UpdateAddress) != 0;
        if (update == ((flags & Rights) != 0))
        {
            return Errno.EINVAL;
        }

        lock (_lock)
        {
            if (_released || ((iova | address | size) & (Unit - 1)) != 0)
            {
                return Errno.EINVAL;
            }

            Type1Mapping? existing = FindOverlap(range);
            if (update)
            {
                return Update(existing, range, memory, address);
            }

            if (existing is not null)
            {
                return Errno.EEXIST;
            }

            if (_available == 0)
            {
                return Errno.ENOSPC;
            }

            if (_valid.Count > 0 && !_valid.Exists(valid => valid.Contains(range)))
            {
                return Errno.EINVAL;
            }

            return Insert(new Type1Mapping(range, memory, address, (DmaAccess)(uint)flags));
        }
    }

    /// <summary>Removes the mappings in a range, or takes their memory's addresses away.</summary>
    /// <param name="flags">What to do.</param>
    /// <param name="iova">First address; 0 with <see cref="Type1UnmapFlags.All"/>.</param>
    /// <param name="size">Length in bytes; 0 with <see cref="Type1UnmapFlags.All"/>.</param>
    /// <param name="unmapped">Bytes removed or invalidated; also when an error stopped it half-way.</param>
    /// <returns>
    /// <see cref="Errno.None"/>, also when nothing was mapped; <see cref="Errno.EINVAL"/> for bad numbers, for a mapping that reaches over an
    /// end of the range (version 2), or one that is invalid already; <see cref="Errno.EOVERFLOW"/>; <see cref="Errno.EBUSY"/> when
    /// addresses cannot be taken away because software may use them; <see cref="Errno.EDEADLK"/> when a device does not give its pins back.
    /// </returns>
    /// <remarks>VFIO_IOMMU_UNMAP_DMA (<c>vfio_dma_do_unmap</c>); spec vfio-core §8.3. Devices that pinned get <see cref="VfioDevice.OnDmaUnmap"/> on this thread.</remarks>
    public Errno Unmap(Type1UnmapFlags flags, ulong iova, ulong size, out ulong unmapped)
        => Unmap(flags, iova, size, default, default, out unmapped);

    /// <summary>Removes the mappings in a range and reports which of their pages are dirty.</summary>
    /// <param name="iova">First address: bit 0 of the bitmap.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="bitmap">Unit and length of the bitmap.</param>
    /// <param name="target">Receives the bitmap.</param>
    /// <param name="unmapped">Bytes removed.</param>
    /// <returns>As for <see cref="Unmap(Type1UnmapFlags, ulong, ulong, out ulong)"/>; <see cref="Errno.EINVAL"/> also when dirty pages are not tracked, or the bitmap's unit or length is wrong; <see cref="Errno.EFAULT"/>.</returns>
    /// <remarks>VFIO_IOMMU_UNMAP_DMA with GET_DIRTY_BITMAP.</remarks>
    public Errno UnmapAndReport(ulong iova, ulong size, Type1Bitmap bitmap, UserArgument target, out ulong unmapped)
    {
        unmapped = 0;
        return bitmap.IsSufficient(size) ? Unmap(Type1UnmapFlags.None, iova, size, bitmap, target, out unmapped) : Errno.EINVAL;
    }

    private Errno Unmap(Type1UnmapFlags flags, ulong iova, ulong size, Type1Bitmap bitmap, UserArgument target, out ulong unmapped)
    {
        unmapped = 0;
        bool all = (flags & Type1UnmapFlags.All) != 0;
        Type1Mapping? stuck = null;
        int retries = 0;
        while (true)
        {
            Type1Mapping? pinned;
            lock (_lock)
            {
                Errno error = CheckUnmap(flags, iova, size, bitmap, out IovaRange range);
                if (error != Errno.None)
                {
                    return error;
                }

                error = (flags & Type1UnmapFlags.InvalidateAddress) != 0
                    ? Invalidate(range, all, out unmapped)
                    : Remove(range, all, bitmap, target, ref unmapped);
                if (error != Errno.EAGAIN)
                {
                    return error;
                }

                pinned = _mappings[FirstToUnmap(range)];
            }

            // The tree may change while the devices are asked, so that everything is checked again.
            retries = ReferenceEquals(pinned, stuck) ? retries + 1 : 0;
            stuck = pinned;
            if (retries > MaximumRetries)
            {
                _host.LogPinsKept(pinned.Range);
                return Errno.EDEADLK;
            }

            Notify(pinned.Range);
        }
    }

    private Errno CheckUnmap(Type1UnmapFlags flags, ulong iova, ulong size, Type1Bitmap bitmap, out IovaRange range)
    {
        const Type1UnmapFlags Known = Type1UnmapFlags.All | Type1UnmapFlags.InvalidateAddress;
        range = IovaRange.All;
        bool all = (flags & Type1UnmapFlags.All) != 0;
        if (_released || (flags & ~Known) != 0)
        {
            return Errno.EINVAL;
        }

        if ((flags & Type1UnmapFlags.InvalidateAddress) != 0 && _emulated.Count > 0)
        {
            return Errno.EBUSY;
        }

        if ((iova & (Unit - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        if (all)
        {
            return (iova | size) != 0 ? Errno.EINVAL : Errno.None;
        }

        if (size == 0 || (size & (Unit - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, size, out range))
        {
            return Errno.EOVERFLOW;
        }

        if (bitmap.Size != 0 && (!_tracking || bitmap.Unit != Unit))
        {
            return Errno.EINVAL;
        }

        return _isVersion2 && Straddles(range) ? Errno.EINVAL : Errno.None;
    }

    private bool Straddles(IovaRange range)
        => (Find(range.Start) is { } first && first.Range.Start != range.Start) || (Find(range.Last) is { } last && last.Range.Last != range.Last);

    private int FirstToUnmap(IovaRange range) => IndexFrom(range.Start);

    /// <summary>Removes mappings, lowest first, until one is pinned.</summary>
    /// <returns><see cref="Errno.EAGAIN"/> when the first mapping left is pinned.</returns>
    private Errno Remove(IovaRange range, bool all, Type1Bitmap bitmap, UserArgument target, ref ulong unmapped)
    {
        int index = FirstToUnmap(range);
        while (index < _mappings.Count && _mappings[index].Range.Start <= range.Last)
        {
            Type1Mapping mapping = _mappings[index];
            if (!_isVersion2 && !all && mapping.Range.Start < range.Start)
            {
                break; // Version 1 stops at a mapping that begins before the range.
            }

            if (mapping.Pins.Count > 0)
            {
                return Errno.EAGAIN;
            }

            if (bitmap.Size != 0)
            {
                Errno error = Report(mapping, range.Start, target);
                if (error != Errno.None)
                {
                    return error;
                }
            }

            unmapped += mapping.Range.Length;
            RemoveAt(index);
        }

        return Errno.None;
    }

    private Errno Invalidate(IovaRange range, bool all, out ulong invalidated)
    {
        invalidated = 0;
        int first = FirstToUnmap(range);
        for (int i = first; i < _mappings.Count && _mappings[i].Range.Start <= range.Last; i++)
        {
            Type1Mapping mapping = _mappings[i];
            if (!_isVersion2 && !all && mapping.Range.Start < range.Start)
            {
                break;
            }

            if (mapping.IsInvalid)
            {
                while (--i >= first)
                {
                    _mappings[i].IsInvalid = false;
                    _invalid--;
                }

                invalidated = 0;
                return Errno.EINVAL;
            }

            mapping.IsInvalid = true;
            _invalid++;
            invalidated += mapping.Range.Length;
        }

        return Errno.None;
    }

    private Errno Update(Type1Mapping? mapping, IovaRange range, IUserMemory memory, ulong address)
    {
        if (mapping is null)
        {
            return Errno.ENOENT;
        }

        if (!mapping.IsInvalid || mapping.Range != range)
        {
            return Errno.EINVAL;
        }

        mapping.Memory = memory;
        mapping.Address = address;
        mapping.IsInvalid = false;
        _invalid--;
        if (mapping.IsHardwareMapped)
        {
            ShowAgain(mapping);
        }

        return Errno.None;
    }

    private Errno Insert(Type1Mapping mapping)
    {
        Errno error = _tracking ? AddBitmap(mapping) : Errno.None;
        if (error == Errno.None && _domains.Count > 0)
        {
            error = MapHardware(mapping);
        }

        if (error != Errno.None)
        {
            DropBitmap(mapping);
            return error;
        }

        _mappings.Insert(IndexFrom(mapping.Range.Start), mapping);
        _available--;
        return Errno.None;
    }
}
