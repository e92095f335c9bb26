using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class Type1Iommu
{
    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_pin_pages</c>; spec vfio-core §7.1. Addresses are taken as given: unaligned ones are pins of their own.</remarks>
    public override Errno PinPages(VfioGroup group, ulong iova, DmaAccess access, Span<PinnedPage?> pages)
    {
        pages.Clear();
        if (!_isVersion2)
        {
            return Errno.EACCES;
        }

        if (!IovaRange.TryCreate(iova, (ulong)pages.Length * PageSize, out _))
        {
            return Errno.EOVERFLOW;
        }

        lock (_lock)
        {
            if (_invalid > 0)
            {
                return Errno.EBUSY;
            }

            if (_devices.Count == 0)
            {
                return Errno.EINVAL;
            }

            for (int i = 0; i < pages.Length; i++)
            {
                Errno error = PinPage(iova + ((ulong)i * PageSize), access, out pages[i]);
                if (error == Errno.None)
                {
                    continue;
                }

                while (--i >= 0)
                {
                    UnpinPage(Find(iova + ((ulong)i * PageSize))!, iova + ((ulong)i * PageSize));
                }

                pages.Clear();
                return error;
            }

            _pinningGroups.Add(group);
            return Errno.None;
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_unpin_pages</c>; ends at the first address that is not mapped.</remarks>
    public override void UnpinPages(ulong iova, int count)
    {
        if (!_isVersion2 || count <= 0 || !IovaRange.TryCreate(iova, (ulong)count * PageSize, out _))
        {
            return;
        }

        lock (_lock)
        {
            for (int i = 0; i < count; i++, iova += PageSize)
            {
                if (Find(iova) is not { } mapping)
                {
                    return;
                }

                UnpinPage(mapping, iova);
            }
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_dma_rw</c>; spec vfio-core §7.3.</remarks>
    public override Errno Read(ulong iova, Span<byte> destination)
    {
        lock (_lock)
        {
            while (true)
            {
                Errno error = FindChunk(iova, destination.Length, DmaAccess.Read, out Type1Mapping? mapping, out int chunk);
                if (error == Errno.None && mapping!.Memory.Read(mapping.AddressOf(iova), destination[..chunk]) != Errno.None)
                {
                    error = Errno.EFAULT;
                }

                if (error != Errno.None || chunk == destination.Length)
                {
                    return error;
                }

                destination = destination[chunk..];
                iova = unchecked(iova + (ulong)chunk);
            }
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_dma_rw</c> with write. Memory that devices may only write is refused all the same (spec vfio-core Q6).</remarks>
    public override Errno Write(ulong iova, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            while (true)
            {
                Errno error = FindChunk(iova, source.Length, DmaAccess.ReadWrite, out Type1Mapping? mapping, out int chunk);
                if (error == Errno.None)
                {
                    // A copy that fails half-way has written something too.
                    if (_tracking && IovaRange.TryCreate(iova, (ulong)chunk, out IovaRange touched))
                    {
                        mapping!.MarkDirty(touched, Unit);
                    }

                    error = mapping!.Memory.Write(mapping.AddressOf(iova), source[..chunk]) == Errno.None ? Errno.None : Errno.EFAULT;
                }

                if (error != Errno.None || chunk == source.Length)
                {
                    return error;
                }

                source = source[chunk..];
                iova = unchecked(iova + (ulong)chunk);
            }
        }
    }

    private Errno FindChunk(ulong iova, int wanted, DmaAccess access, out Type1Mapping? mapping, out int chunk)
    {
        chunk = 0;
        mapping = null;
        if (_released)
        {
            return Errno.ENOTTY;
        }

        if (_invalid > 0)
        {
            return Errno.EBUSY;
        }

        mapping = Find(iova);
        if (mapping is null)
        {
            return Errno.EINVAL;
        }

        if ((mapping.Access & access) != access)
        {
            return Errno.EPERM;
        }

        ulong room = mapping.Range.Last - iova;
        chunk = room >= (ulong)wanted ? wanted : (int)room + 1;
        return Errno.None;
    }

    private Errno PinPage(ulong iova, DmaAccess access, out PinnedPage? page)
    {
        page = null;
        if (Find(iova) is not { } mapping)
        {
            return Errno.EINVAL;
        }

        if ((mapping.Access & access) != access)
        {
            return Errno.EPERM;
        }

        if (mapping.Pins.TryGetValue(iova, out page))
        {
            page.Users++;
            return Errno.None;
        }

        ulong address = mapping.AddressOf(iova) & ~(PageSize - 1);
        Span<byte> probe = stackalloc byte[1];
        if (mapping.Memory.Read(address, probe) != Errno.None)
        {
            return Errno.EFAULT;
        }

        // With hardware the whole mapping is charged for already.
        if (!mapping.IsHardwareMapped)
        {
            if (!Account.TryCharge(1, IsExempt))
            {
                return Errno.ENOMEM;
            }

            mapping.Charged++;
        }

        page = new PinnedPage(mapping.Memory, address, (int)PageSize, (mapping.Access & DmaAccess.Write) != 0);
        mapping.Pins.Add(iova, page);
        if (IovaRange.TryCreateInclusive(iova, iova, out IovaRange one))
        {
            mapping.MarkDirty(one, Unit);
        }

        return Errno.None;
    }

    private void UnpinPage(Type1Mapping mapping, ulong iova)
    {
        if (!mapping.Pins.TryGetValue(iova, out PinnedPage? page) || --page.Users > 0)
        {
            return;
        }

        // Its dirty bit is set since the pin or the last report, so that the next report tells of it once more.
        mapping.Pins.Remove(iova);
        if (!mapping.IsHardwareMapped)
        {
            LetGo(mapping);
        }
    }
}
