using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>Where the DMA of a group of devices goes: what iommufd's page tables stand for (<c>iommu_domain</c>).</summary>
/// <remarks>Its owner calls it under its own lock, never from two threads at once. Disposed when no group is attached any more.</remarks>
public interface IIommuDomain : IDisposable
{
    /// <summary>Moves a group's devices into the domain, or one PASID of them. Called by <see cref="IommuGroup"/>, which keeps the books.</summary>
    /// <param name="group">The group.</param>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns><see cref="Errno.None"/>, or why the domain does not suit the group.</returns>
    /// <remarks><c>iommu_attach_group</c>, <c>iommu_attach_device_pasid</c>.</remarks>
    Errno Attach(IommuGroup group, uint pasid);

    /// <summary>Takes a group's devices out; their DMA is blocked unless another domain has them already.</summary>
    /// <param name="group">An attached group.</param>
    /// <param name="pasid">The PASID given to <see cref="Attach"/>.</param>
    void Detach(IommuGroup group, uint pasid);
}
