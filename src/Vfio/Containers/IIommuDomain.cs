using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>A hardware address space: what the devices of the groups attached to it see.</summary>
/// <remarks>Its owner calls it under its own lock, never from two threads at once. Disposed when no group is attached any more.</remarks>
public interface IIommuDomain : IDisposable
{
    /// <summary>The page sizes that it can map, one bit each.</summary>
    ulong PageSizes { get; }

    /// <summary>The addresses that it can translate.</summary>
    IovaRange Aperture { get; }

    /// <summary>Whether it makes all DMA coherent with the caches, whatever a device asks.</summary>
    bool EnforcesCoherency { get; }

    /// <summary>Moves a group's devices into the domain.</summary>
    /// <param name="group">The group.</param>
    /// <returns><see cref="Errno.None"/>, or why the domain does not suit the group.</returns>
    /// <remarks><c>iommu_attach_group</c>.</remarks>
    Errno Attach(IommuGroup group);

    /// <summary>Takes a group's devices out; their DMA is blocked.</summary>
    /// <param name="group">An attached group.</param>
    void Detach(IommuGroup group);

    /// <summary>Makes memory visible. The caller keeps it in place until <see cref="Unmap"/>.</summary>
    /// <param name="range">Where; mapped by nothing else.</param>
    /// <param name="memory">Whose memory.</param>
    /// <param name="address">Its first address there.</param>
    /// <param name="access">What devices may do.</param>
    /// <returns><see cref="Errno.None"/>, or why not; nothing is then mapped.</returns>
    /// <remarks><c>iommu_map</c>.</remarks>
    Errno Map(IovaRange range, IUserMemory memory, ulong address, DmaAccess access);

    /// <summary>Takes a mapping away. On return no device reaches the memory.</summary>
    /// <param name="range">A range given to <see cref="Map"/>.</param>
    /// <remarks><c>iommu_unmap</c>.</remarks>
    void Unmap(IovaRange range);
}
