using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A hardware address space with a page table: what the devices of the groups attached to it see.</summary>
public interface IPagingDomain : IIommuDomain
{
    /// <summary>The page sizes that it can map, one bit each.</summary>
    ulong PageSizes { get; }

    /// <summary>The addresses that it can translate.</summary>
    IovaRange Aperture { get; }

    /// <summary>Whether it makes all DMA coherent with the caches, whatever a device asks.</summary>
    bool EnforcesCoherency { get; }

    /// <summary>Whether it can tell what devices wrote (made with <see cref="DomainOptions.DirtyTracking"/>).</summary>
    bool TracksWrites { get; }

    /// <summary>Makes memory visible. The caller keeps it in place until <see cref="Unmap"/>.</summary>
    /// <param name="range">Where; mapped by nothing else.</param>
    /// <param name="memory">The memory.</param>
    /// <param name="offset">Where it starts in <paramref name="memory"/>.</param>
    /// <param name="access">What devices may do.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when range or memory are no multiple of the smallest page, or another reason;
    /// nothing is then mapped.
    /// </returns>
    /// <remarks><c>iommu_map</c>.</remarks>
    Errno Map(IovaRange range, MemorySource memory, ulong offset, DmaAccess access);

    /// <summary>Takes mappings away. On return no device reaches their memory.</summary>
    /// <param name="range">A range that covers each mapping in it wholly.</param>
    /// <remarks><c>iommu_unmap</c>.</remarks>
    void Unmap(IovaRange range);

    /// <summary>Finds the memory behind an address and holds it until <see cref="TransferGate.Exit"/>.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="access">What a device wants to do.</param>
    /// <param name="mapping">The mapping; leave it exactly once.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/> where nothing is mapped or the right is lacking: a DMA fault.</returns>
    /// <remarks>The walk of the page table that hardware does. Takes no lock and allocates nothing.</remarks>
    Errno Enter(ulong iova, DmaAccess access, out DomainMapping? mapping);

    /// <summary>Notes that a device wrote, when writes are tracked.</summary>
    /// <param name="mapping">A mapping that <see cref="Enter"/> gave.</param>
    /// <param name="range">What was written.</param>
    void MarkWritten(DomainMapping mapping, IovaRange range);

    /// <summary>Starts or stops noting what devices write.</summary>
    /// <param name="enabled">Whether it is noted from now on.</param>
    /// <returns><see cref="Errno.None"/>, or what the hardware reported.</returns>
    /// <remarks><c>set_dirty_tracking</c>.</remarks>
    Errno SetTracking(bool enabled);

    /// <summary>Reports what was written since the last report.</summary>
    /// <param name="range">Where to look.</param>
    /// <param name="clear">Whether what is reported is forgotten.</param>
    /// <param name="written">Receives each translation entry that was written to, cut to <paramref name="range"/>, in ascending order; null only forgets.</param>
    /// <remarks><c>read_and_clear_dirty</c>. The unit is the entry that the page table uses, not a page size of the caller's.</remarks>
    void ReadWritten(IovaRange range, bool clear, Action<IovaRange>? written);
}
