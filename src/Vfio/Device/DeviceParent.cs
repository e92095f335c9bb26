using Vfio.Iommu;

namespace Vfio;

/// <summary>The bus device behind a <see cref="VfioDevice"/>: its name and what its platform can do (<c>struct device</c>).</summary>
/// <param name="Name">The name by which users ask for it, for a PCI function such as "0000:06:0d.0".</param>
public sealed record DeviceParent(string Name) : IIommuDevice
{
    /// <summary>The IOMMU group, or null when the device has no IOMMU in front of it.</summary>
    public IommuGroup? IommuGroup { get; init; }

    /// <summary>Whether its DMA is coherent with the caches. Group devices must be.</summary>
    public bool IsCacheCoherent { get; init; } = true;

    /// <inheritdoc/>
    public bool TracksWrites { get; init; } = true;

    /// <inheritdoc/>
    public uint PasidCount { get; init; }

    /// <inheritdoc/>
    public bool SharesPageRequests { get; init; }

    /// <inheritdoc/>
    public bool CachesTranslations { get; init; }
}
