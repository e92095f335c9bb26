using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>What stands behind a <see cref="VirtualIommu"/>: the operations of an IOMMU driver for its virtual machine (<c>iommufd_viommu_ops</c>).</summary>
/// <remarks>A member with a default may be left out, with the result that the kernel has for a missing operation.</remarks>
public interface IVirtualIommuHardware : IDisposable
{
    /// <summary>Whether <see cref="Invalidate"/> is there.</summary>
    bool CanInvalidate => false;

    /// <summary>Makes a first-stage page table of the virtual machine's.</summary>
    /// <param name="options">What it must be able to do: faults and PASIDs.</param>
    /// <param name="data">The user's data.</param>
    /// <param name="domain">The domain; whoever asked disposes it.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks><c>alloc_domain_nested</c>.</remarks>
    Errno CreateNestedDomain(DomainOptions options, UserData data, out INestedDomain? domain)
    {
        domain = null;
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Forgets cached translations, of all the virtual machine's devices.</summary>
    /// <param name="request">The user's entries, to be carried out in order up to the first that fails.</param>
    /// <param name="done">How many entries were carried out.</param>
    /// <returns><see cref="Errno.None"/>, or the first entry's error.</returns>
    /// <remarks><c>cache_invalidate</c>.</remarks>
    Errno Invalidate(in InvalidationRequest request, out uint done)
    {
        done = 0;
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Learns of a device of the virtual machine.</summary>
    /// <param name="device">The device, with its virtual id.</param>
    /// <param name="state">What the hardware keeps for it, disposed with the device; null for nothing.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks><c>vdevice_init</c>.</remarks>
    Errno AddDevice(VirtualDevice device, out IDisposable? state)
    {
        state = null;
        return Errno.None;
    }

    /// <summary>Whether it has queues of a kind.</summary>
    /// <param name="type">The kind.</param>
    /// <returns>False makes HW_QUEUE_ALLOC answer <see cref="Errno.EOPNOTSUPP"/>.</returns>
    /// <remarks><c>get_hw_queue_size</c>.</remarks>
    bool HasQueue(uint type) => false;

    /// <summary>Gives the virtual machine a queue of the hardware's.</summary>
    /// <param name="queue">The queue: its kind, its number and the guest's memory for it, which stays in place while it lives.</param>
    /// <param name="state">What the hardware keeps for it, disposed with the queue; null for nothing.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks><c>hw_queue_init_phys</c>.</remarks>
    Errno AddQueue(HardwareQueue queue, out IDisposable? state)
    {
        state = null;
        return Errno.EOPNOTSUPP;
    }
}
