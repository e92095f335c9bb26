using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdDevice
{
    private readonly GroupDmaPath _dma;

    /// <inheritdoc/>
    public bool IsAttached => _dma.IsAttached;

    /// <inheritdoc cref="GroupDmaPath.Read"/>
    public Errno Read(ulong iova, Span<byte> destination) => _dma.Read(iova, destination);

    /// <inheritdoc cref="GroupDmaPath.Write"/>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source) => _dma.Write(iova, source);

    /// <inheritdoc cref="GroupDmaPath.TryOpenWindow"/>
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window) => _dma.TryOpenWindow(iova, length, access, out window);

    /// <inheritdoc cref="GroupDmaPath.TryPin"/>
    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin) => _dma.TryPin(iova, length, access, out pin);
}
