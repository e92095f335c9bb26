using Vfio.Abi;

namespace Vfio;

/// <summary>A way in which a container can translate DMA: what SET_IOMMU chooses among (<c>vfio_iommu_driver_ops</c>, the part without an instance).</summary>
/// <remarks>Registered by <see cref="VfioHost.RegisterIommuDriver"/>. Members are called under a container's lock and must not open or close files.</remarks>
public abstract class VfioIommuDriver
{
    /// <summary>A short name, for diagnostics.</summary>
    public abstract string Name { get; }

    /// <summary>Whether it serves containers of groups without IOMMU, and only those.</summary>
    public virtual bool ServesNoIommu => false;

    /// <summary>Answers CHECK_EXTENSION for a container that has no IOMMU yet.</summary>
    /// <param name="extension">The extension number, such as <see cref="VfioUapi.VFIO_TYPE1v2_IOMMU"/>.</param>
    /// <returns>1, or another positive number, when it has it; 0 when not.</returns>
    public abstract int CheckExtension(uint extension);

    /// <summary>Makes the IOMMU of one container.</summary>
    /// <param name="type">The type that the user named, one that <see cref="CheckExtension"/> has.</param>
    /// <param name="iommu">The instance; the container releases it.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks>Kernel op <c>open</c>.</remarks>
    public abstract Errno Open(uint type, out VfioIommu? iommu);
}
