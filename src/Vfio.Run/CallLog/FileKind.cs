namespace Vfio.Run;

/// <summary>The kinds of files that commands go to.</summary>
internal enum FileKind
{
    /// <summary>Something without commands, such as an attribute.</summary>
    Other,

    /// <summary>A container.</summary>
    Container,

    /// <summary>A container whose IOMMU is sPAPR's.</summary>
    SpaprContainer,

    /// <summary>A group.</summary>
    Group,

    /// <summary>A device, however it was opened.</summary>
    Device,

    /// <summary>A device's migration data.</summary>
    Migration,

    /// <summary>An iommufd.</summary>
    Iommufd,
}
