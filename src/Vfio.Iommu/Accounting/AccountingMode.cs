namespace Vfio.Iommu;

/// <summary>Whom pinned memory is charged to; fixed when it is mapped (spec iommufd §3.8).</summary>
internal enum AccountingMode
{
    /// <summary>Nobody: the caller is exempt.</summary>
    None,

    /// <summary>The user, over all processes.</summary>
    User,

    /// <summary>The process.</summary>
    Process,
}
