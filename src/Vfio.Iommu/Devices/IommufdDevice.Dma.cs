using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdDevice
{
    /// <inheritdoc/>
    public bool IsAttached => _group.Group.GetDomain() is not null;

    /// <summary>The device reads memory through its page table.</summary>
    /// <returns><see cref="Errno.EINVAL"/> for length 0; <see cref="Errno.EFAULT"/> where nothing is mapped, the right is lacking or its DMA is blocked.</returns>
    /// <inheritdoc/>
    public Errno Read(ulong iova, Span<byte> destination)
    {
        if (!IovaRange.TryCreate(iova, (ulong)destination.Length, out _))
        {
            return destination.IsEmpty ? Errno.EINVAL : Errno.EOVERFLOW;
        }

        if (_group.Group.GetDomain() is not IPagingDomain domain)
        {
            return Errno.EFAULT;
        }

        while (true)
        {
            Errno error = domain.Enter(iova, DmaAccess.Read, out DomainMapping? mapping);
            if (error != Errno.None)
            {
                return error;
            }

            int piece = (int)Math.Min((ulong)destination.Length - 1, mapping!.Range.Last - iova) + 1;
            error = mapping.Source.Read(mapping.SourceOffset(iova), destination[..piece]);
            mapping.Exit();
            if (error != Errno.None || piece == destination.Length)
            {
                return error;
            }

            destination = destination[piece..];
            iova += (ulong)piece;
        }
    }

    /// <summary>The device writes memory through its page table, which notes it when asked to.</summary>
    /// <returns>As for <see cref="Read"/>.</returns>
    /// <inheritdoc/>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source)
    {
        if (!IovaRange.TryCreate(iova, (ulong)source.Length, out _))
        {
            return source.IsEmpty ? Errno.EINVAL : Errno.EOVERFLOW;
        }

        if (_group.Group.GetDomain() is not IPagingDomain domain)
        {
            return Errno.EFAULT;
        }

        while (true)
        {
            Errno error = domain.Enter(iova, DmaAccess.Write, out DomainMapping? mapping);
            if (error != Errno.None)
            {
                return error;
            }

            int piece = (int)Math.Min((ulong)source.Length - 1, mapping!.Range.Last - iova) + 1;
            error = mapping.Source.Write(mapping.SourceOffset(iova), source[..piece]);
            if (error == Errno.None && IovaRange.TryCreate(iova, (ulong)piece, out IovaRange written))
            {
                domain.MarkWritten(mapping, written);
            }

            mapping.Exit();
            if (error != Errno.None || piece == source.Length)
            {
                return error;
            }

            source = source[piece..];
            iova += (ulong)piece;
        }
    }

    /// <summary>Opens a window on memory that one mapping shows. Opening it for writing counts as a write.</summary>
    /// <returns>As for <see cref="Read"/>; <see cref="Errno.EOPNOTSUPP"/> when the range spans mappings or the memory can only be copied.</returns>
    /// <inheritdoc/>
    public unsafe Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
    {
        window = default;
        if (length <= 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, (ulong)length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        if (_group.Group.GetDomain() is not IPagingDomain domain)
        {
            return Errno.EFAULT;
        }

        Errno error = domain.Enter(iova, access, out DomainMapping? mapping);
        if (error != Errno.None)
        {
            return error;
        }

        nint pointer = mapping!.Range.Contains(range) ? mapping.Source.GetPointer(mapping.SourceOffset(iova)) : 0;
        if (pointer == 0)
        {
            mapping.Exit();
            return Errno.EOPNOTSUPP;
        }

        if ((access & DmaAccess.Write) != 0)
        {
            domain.MarkWritten(mapping, range);
        }

        // SAFETY: the mapping contains the range, its source is reachable by pointer without faults, and it stays until Exit.
        window = new DmaWindow(mapping, new Span<byte>((void*)pointer, length));
        return Errno.None;
    }

    /// <summary>Refused: what a device behind an IOMMU may use is what its page table maps.</summary>
    /// <returns><see cref="Errno.EINVAL"/>, as <c>vfio_pin_pages</c> of a physical device.</returns>
    /// <inheritdoc/>
    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin)
    {
        pin = null;
        return Errno.EINVAL;
    }
}
