using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>The DMA of a device behind an IOMMU: through the page table that its group is attached to, whoever attached it.</summary>
/// <param name="group">The group that the device is in.</param>
public sealed class GroupDmaPath(IommuGroup group) : IDmaPath
{
    /// <inheritdoc/>
    public bool IsAttached => group.GetDomain() is not null;

    /// <summary>The device reads memory through its page table.</summary>
    /// <returns><see cref="Errno.EINVAL"/> for length 0; <see cref="Errno.EFAULT"/> where nothing is mapped, the right is lacking or its DMA is blocked.</returns>
    /// <inheritdoc/>
    public Errno Read(ulong iova, Span<byte> destination) => DmaTransfer.Read(new Translation(group.GetDomain()), iova, destination);

    /// <summary>The device writes memory through its page table, which notes it when asked to.</summary>
    /// <returns>As for <see cref="Read"/>.</returns>
    /// <inheritdoc/>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source) => DmaTransfer.Write(new Translation(group.GetDomain()), iova, source);

    /// <summary>Opens a window on memory that one mapping shows. Opening it for writing counts as a write.</summary>
    /// <returns>As for <see cref="Read"/>; <see cref="Errno.EOPNOTSUPP"/> when the range spans mappings or the memory can only be copied.</returns>
    /// <inheritdoc/>
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
        => DmaTransfer.TryOpenWindow(new Translation(group.GetDomain()), iova, length, access, out window);

    /// <summary>Refused: what a device behind an IOMMU may use is what its page table maps.</summary>
    /// <returns><see cref="Errno.EINVAL"/>.</returns>
    /// <inheritdoc/>
    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin)
    {
        pin = null;
        return Errno.EINVAL;
    }

    /// <summary>Through a domain; a device without one, or with a first stage that only the hardware can read, is blocked.</summary>
    private readonly struct Translation(IIommuDomain? domain) : IDmaTranslation
    {
        private readonly IPagingDomain? _domain = domain as IPagingDomain;

        public Errno Enter(ulong iova, DmaAccess access, out TransferGate? gate)
        {
            DomainMapping? mapping = null;
            Errno error = _domain?.Enter(iova, access, out mapping) ?? Errno.EFAULT;
            gate = mapping;
            return error;
        }

        public void Written(TransferGate gate, IovaRange written) => _domain!.MarkWritten((DomainMapping)gate, written);
    }
}
