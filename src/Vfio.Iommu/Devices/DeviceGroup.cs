namespace Vfio.Iommu;

/// <summary>What a context knows of an IOMMU group: the bound devices of it, and where their DMA goes (iommufd's <c>iommufd_group</c>).</summary>
/// <remarks>Lock order: an address space's page table lock, then this lock, then an address space's own.</remarks>
internal sealed class DeviceGroup(IommuGroup group)
{
    public Lock Lock { get; } = new();

    public IommuGroup Group { get; } = group;

    /// <summary>Bound devices. Guarded by the context's group lock.</summary>
    public int DeviceCount { get; set; }

    /// <summary>The attachments by PASID; 0 is DMA without one. Guarded by <see cref="Lock"/>.</summary>
    public Dictionary<uint, DeviceAttachment> Attachments { get; } = [];
}
