namespace Vfio.Iommu;

/// <summary>What a user wants of a page table (<c>IOMMU_HWPT_ALLOC_*</c>); the values are the user's flags.</summary>
[Flags]
public enum DomainOptions
{
    /// <summary>Nothing in particular.</summary>
    None = 0,

    /// <summary>First-stage page tables can be made on top of it.</summary>
    NestParent = 1,

    /// <summary>It can tell what devices wrote.</summary>
    DirtyTracking = 2,

    /// <summary>Its page faults go to a queue of the user's.</summary>
    Faults = 4,

    /// <summary>It can be attached to a PASID.</summary>
    Pasid = 8,
}
