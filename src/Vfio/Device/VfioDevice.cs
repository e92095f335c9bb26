using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>
/// A device that a bus driver offers to VFIO users: the table of callbacks (<c>vfio_device_ops</c>) and the object they act on
/// (<c>vfio_device</c>) in one class.
/// </summary>
/// <remarks>
/// <para>
/// A device is constructed through <see cref="VfioHost.Allocate{T}"/>, announced by
/// <see cref="VfioHost.RegisterEmulatedIommuDevice(VfioDevice, DeviceParent)"/> or <see cref="VfioHost.RegisterGroupDevice"/>, withdrawn by
/// <see cref="VfioRegistration.UnregisterAsync"/>, and given back by <see cref="Put"/>.
/// </para>
/// <para>
/// Every <c>protected internal virtual</c> member is one kernel callback, with the kernel's result for an absent callback as its
/// default. <see cref="BindIommufd"/>, <see cref="UnbindIommufd"/>, <see cref="AttachIoas"/>, <see cref="DetachIoas"/>,
/// <see cref="OnOpen"/>, <see cref="OnClose"/> and the PASID pair run under <see cref="VfioDeviceSet"/>'s lock; no core lock is held
/// around any other member, so that they run concurrently, also with each other. A callback that a peer can reach reports failures
/// as values and does not throw.
/// </para>
/// </remarks>
public abstract partial class VfioDevice
{
    /// <summary>Called once, inside the allocation, before anybody else can see the device.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno that fails the allocation; <see cref="OnRelease"/> is then not called.</returns>
    /// <remarks>Kernel op <c>init</c>. <see cref="Host"/> and <see cref="Index"/> are valid; a device set may be assigned here.</remarks>
    protected internal virtual Errno OnInitialize() => Errno.None;

    /// <summary>Called once, when the last reference is given back.</summary>
    /// <remarks>
    /// Kernel op <c>release</c>. The device has left its set, and its index is free again and may already belong to another device.
    /// </remarks>
    protected internal virtual void OnRelease()
    {
    }

    /// <summary>Called at the first open of the device, before <see cref="OnOpen"/>, when the way of access carries an iommufd.</summary>
    /// <param name="context">The user's iommufd context; it stays open until <see cref="UnbindIommufd"/> returned.</param>
    /// <param name="deviceId">The object id by which the user addresses this binding.</param>
    /// <returns><see cref="Errno.None"/>, or an errno that fails the open; <see cref="OnOpen"/> is then not called.</returns>
    /// <remarks>
    /// Kernel op <c>bind_iommufd</c>. The default of a device with an emulated IOMMU is an access object (<c>vfio_iommufd_emulated_bind</c>),
    /// which serves <see cref="Dma"/> and hands unmap notifications to <see cref="OnDmaUnmap"/>; that of a group device is a binding
    /// (<c>vfio_iommufd_physical_bind</c>), whose <see cref="Dma"/> goes through the page table that the user attaches it to. Runs under
    /// the device set's lock.
    /// </remarks>
    protected internal virtual Errno BindIommufd(IommufdContext context, out uint deviceId) => BindDefault(context, out deviceId);

    /// <summary>Called at the last close, after <see cref="OnClose"/>, and when <see cref="OnOpen"/> failed. Undoes a still present attach.</summary>
    /// <remarks>Kernel op <c>unbind_iommufd</c>. Runs under the device set's lock.</remarks>
    protected internal virtual void UnbindIommufd() => UnbindDefault();

    /// <summary>Connects the device's DMA to an address space of the context it is bound to; the second and later calls replace.</summary>
    /// <param name="ptId">The id of the IOAS or, for a group device, also of a page table; on return the id of what was attached.</param>
    /// <returns><see cref="Errno.None"/>, or the errno of the user's request.</returns>
    /// <remarks>Kernel op <c>attach_ioas</c>. Runs under the device set's lock.</remarks>
    protected internal virtual Errno AttachIoas(ref uint ptId) => AttachDefault(ref ptId);

    /// <summary>Disconnects the device's DMA; without an attachment it does nothing.</summary>
    /// <remarks>Kernel op <c>detach_ioas</c>. Not called at close: <see cref="UnbindIommufd"/> detaches. Runs under the device set's lock.</remarks>
    protected internal virtual void DetachIoas() => DetachDefault();

    /// <summary>Whether the device has the PASID pair; without it requests with a PASID are refused with <see cref="Errno.EOPNOTSUPP"/>. By default group devices have it.</summary>
    protected internal virtual bool SupportsPasid => IsPhysical;

    /// <summary>Connects one process address space (PASID) of the device to an address space or page table.</summary>
    /// <param name="pasid">The PASID.</param>
    /// <param name="ptId">The id of the IOAS or page table; on return the id of what was attached.</param>
    /// <returns><see cref="Errno.None"/>, or the errno of the user's request.</returns>
    /// <remarks>Kernel op <c>pasid_attach_ioas</c>. Runs under the device set's lock. Called only with <see cref="SupportsPasid"/>.</remarks>
    protected internal virtual Errno PasidAttachIoas(uint pasid, ref uint ptId) => PasidAttachDefault(pasid, ref ptId);

    /// <summary>Disconnects one PASID; an unknown one is ignored.</summary>
    /// <param name="pasid">The PASID.</param>
    /// <remarks>Kernel op <c>pasid_detach_ioas</c>. Runs under the device set's lock.</remarks>
    protected internal virtual void PasidDetachIoas(uint pasid) => PasidDetachDefault(pasid);

    /// <summary>Called when the first user opens the device, once its DMA path is usable.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno for the opener; <see cref="OnClose"/> is then not called.</returns>
    /// <remarks>Kernel op <c>open_device</c>. Runs under the device set's lock.</remarks>
    protected internal virtual Errno OnOpen() => Errno.None;

    /// <summary>Called when the last user closes the device, before its DMA path is taken away.</summary>
    /// <remarks>Kernel op <c>close_device</c>. Drop pins and stop DMA here. Runs under the device set's lock.</remarks>
    protected internal virtual void OnClose()
    {
    }

    /// <summary>Reads device memory.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <param name="position">The position in the device file: for PCI, region index × 2⁴⁰ + offset in the region.</param>
    /// <returns>The number of bytes read, or an errno.</returns>
    /// <remarks>Kernel op <c>read</c>.</remarks>
    protected internal virtual IoResult Read(Span<byte> buffer, ulong position) => Errno.EINVAL;

    /// <summary>Writes device memory.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <param name="position">The position in the device file, as for <see cref="Read"/>.</param>
    /// <returns>The number of bytes written, or an errno.</returns>
    /// <remarks>Kernel op <c>write</c>.</remarks>
    protected internal virtual IoResult Write(ReadOnlySpan<byte> buffer, ulong position) => Errno.EINVAL;

    /// <summary>Executes a device command that the core does not consume itself.</summary>
    /// <param name="command">The ioctl number, for example <see cref="VfioUapi.VFIO_DEVICE_GET_INFO"/>.</param>
    /// <param name="argument">The caller's structure and file table.</param>
    /// <returns>The ioctl's result (0 or more), or an errno.</returns>
    /// <remarks>Kernel op <c>ioctl</c>. GET_REGION_INFO and DEVICE_FEATURE never arrive here (spec vfio-core §5.5).</remarks>
    protected internal virtual IoResult Ioctl(uint command, UserArgument argument) => Errno.EINVAL;

    /// <summary>Describes a region.</summary>
    /// <param name="info">In: the region's index. Out: flags, size and position.</param>
    /// <param name="capabilities">Receives the region's capabilities, such as sparse mmap areas.</param>
    /// <returns><see cref="Errno.None"/>, or an errno: the capabilities are then discarded.</returns>
    /// <remarks>Kernel op <c>get_region_info_caps</c>.</remarks>
    protected internal virtual Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities) => Errno.EINVAL;

    /// <summary>Maps device memory for a user.</summary>
    /// <param name="request">Position, length and protection, page aligned by the caller.</param>
    /// <param name="memory">The shared memory that stands for the range, still owned by the device.</param>
    /// <returns><see cref="Errno.None"/>, or an errno for the caller.</returns>
    /// <remarks>Kernel op <c>mmap</c>.</remarks>
    protected internal virtual Errno Map(in MapRequest request, out MappableMemory memory)
    {
        memory = default;
        return Errno.EINVAL;
    }

    /// <summary>Asks the user to let go of the device: each turn of the unregister loop while users remain.</summary>
    /// <param name="count">0 at the first turn, then 1, 2, …; a turn comes every ten seconds.</param>
    /// <remarks>Kernel op <c>request</c>. Must not block.</remarks>
    protected internal virtual void OnRequest(uint count)
    {
    }

    /// <summary>Tells whether a name given to GROUP_GET_DEVICE_FD means this device.</summary>
    /// <param name="name">The name, which may carry options after the device's own.</param>
    /// <returns>1 for a match, 0 for none, or an errno that aborts the look-up.</returns>
    /// <remarks>Kernel op <c>match</c>. Runs under the group's device lock.</remarks>
    protected internal virtual IoResult Match(string name) => IoResult.Success(name == Name ? 1 : 0);

    /// <summary>Whether the device checks tokens at bind (<see cref="MatchToken"/>).</summary>
    protected internal virtual bool ChecksToken => false;

    /// <summary>Checks the token that a user presents when it binds the device.</summary>
    /// <param name="token">The token, or null when the user gave none.</param>
    /// <returns><see cref="Errno.None"/> to go on, or the errno of the bind.</returns>
    /// <remarks>
    /// Kernel op <c>match_token_uuid</c>. Runs under the device set's lock, and only with <see cref="ChecksToken"/>: otherwise a given
    /// token is refused with <see cref="Errno.EINVAL"/>.
    /// </remarks>
    protected internal virtual Errno MatchToken(Guid? token) => Errno.None;

    /// <summary>Whether the device may pin memory. A device that returns true implements <see cref="OnDmaUnmap"/>.</summary>
    /// <remarks>Stands for the kernel's test whether the <c>dma_unmap</c> op is present.</remarks>
    protected internal virtual bool CanPin => false;

    /// <summary>Asks the device to let go of all memory that it pinned inside a range that is about to be unmapped.</summary>
    /// <param name="iova">Start of the range.</param>
    /// <param name="length">Length in bytes; <see cref="ulong.MaxValue"/> with iova 0 means everything.</param>
    /// <remarks>
    /// Kernel op <c>dma_unmap</c>. On return no pin of this device may remain inside the range. May arrive before
    /// <see cref="OnOpen"/> and after <see cref="OnClose"/>. No IOMMU lock is held. Called only with <see cref="CanPin"/>.
    /// </remarks>
    protected internal virtual void OnDmaUnmap(ulong iova, ulong length)
    {
    }

    /// <summary>Executes a DEVICE_FEATURE that the core does not own.</summary>
    /// <param name="flags">The feature index in bits 0–15, and GET, SET, PROBE.</param>
    /// <param name="data">The caller's data behind the eight-byte header.</param>
    /// <param name="size">The caller's data size in bytes (argsz − 8).</param>
    /// <returns>The ioctl's result, or an errno.</returns>
    /// <remarks>Kernel op <c>device_feature</c>. Features 1, 2, 6–9 and 12 belong to the core (<see cref="Migration"/>, <see cref="DirtyLog"/>).</remarks>
    protected internal virtual IoResult DeviceFeature(uint flags, UserArgument data, ulong size) => Errno.ENOTTY;

    /// <summary>The doorbells of a region that a user may ring by an eventfd instead of a register write.</summary>
    /// <param name="region">The region index.</param>
    /// <returns>The doorbells; their descriptors stay owned by the device. Empty when there are none.</returns>
    /// <remarks>Has no kernel op: it answers vfio-user's DEVICE_GET_REGION_IO_FDS (spec vfio-user §3.6).</remarks>
    protected internal virtual IReadOnlyList<RegionDoorbell> GetDoorbells(uint region) => [];

    /// <summary>The device's migration operations, or null when it cannot migrate. Constant once registered.</summary>
    /// <remarks>Kernel field <c>mig_ops</c>.</remarks>
    protected internal virtual IVfioMigration? Migration => null;

    /// <summary>The device's dirty page logging operations, or null when it has none. Constant once registered.</summary>
    /// <remarks>Kernel field <c>log_ops</c>.</remarks>
    protected internal virtual IVfioDirtyLog? DirtyLog => null;
}
