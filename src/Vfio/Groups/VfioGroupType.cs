namespace Vfio;

/// <summary>Where the isolation of a group's devices comes from (<c>enum vfio_group_type</c>).</summary>
public enum VfioGroupType
{
    /// <summary>An IOMMU.</summary>
    Iommu,

    /// <summary>The bus driver itself, which does its DMA in software.</summary>
    EmulatedIommu,

    /// <summary>Nowhere: the user can reach all memory.</summary>
    NoIommu,
}
