namespace Vfio.Iommu;

/// <summary>A first-stage page table that the user keeps in the hardware's own format, on top of a page table of ours.</summary>
/// <remarks><c>iommufd_hwpt_nested</c>; spec iommufd §1.8.</remarks>
public sealed class NestedHardwarePageTable : HardwarePageTable
{
    private readonly IommufdObject _kept;

    /// <summary>Makes the handle. What it stands on is kept, by a user that the caller counted already.</summary>
    internal NestedHardwarePageTable(PagingHardwarePageTable parent, VirtualIommu? viommu, INestedDomain domain, DomainOptions options)
        : base(parent.Context, domain, options)
    {
        Parent = parent;
        VirtualIommu = viommu;
        NestedDomain = domain;
        _kept = viommu ?? (IommufdObject)parent;
    }

    /// <summary>The page table below.</summary>
    public PagingHardwarePageTable Parent { get; }

    /// <summary>The virtual IOMMU that it belongs to; null when it was made on the parent directly.</summary>
    public VirtualIommu? VirtualIommu { get; }

    /// <summary>What the hardware walks first.</summary>
    public INestedDomain NestedDomain { get; }

    internal override PagingHardwarePageTable Paging => Parent;

    internal override void Destroyed()
    {
        base.Destroyed();
        Context.Put(_kept);
    }
}
