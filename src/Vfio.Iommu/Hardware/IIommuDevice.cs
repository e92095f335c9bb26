namespace Vfio.Iommu;

/// <summary>A device behind the platform's IOMMU, as iommufd sees it (<c>struct device</c>).</summary>
public interface IIommuDevice
{
    /// <summary>The name by which messages call it.</summary>
    string Name { get; }

    /// <summary>The devices that the IOMMU cannot tell from this one; null without an IOMMU in front.</summary>
    IommuGroup? IommuGroup { get; }

    /// <summary>Whether its DMA is coherent with the caches; iommufd takes no others.</summary>
    bool IsCacheCoherent { get; }

    /// <summary>Whether its IOMMU can tell what it wrote.</summary>
    bool TracksWrites { get; }

    /// <summary>PASIDs that it can use, a power of two; 0 for none.</summary>
    uint PasidCount { get; }

    /// <summary>Whether it is a virtual function that asks for pages through its physical function, which rules out fault queues.</summary>
    bool SharesPageRequests { get; }

    /// <summary>Whether it can cache translations (ATS).</summary>
    bool CachesTranslations { get; }
}
