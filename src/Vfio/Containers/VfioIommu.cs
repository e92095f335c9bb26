using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>The IOMMU of one container, from SET_IOMMU until its last group leaves (<c>vfio_iommu_driver_ops</c>, the part with an instance).</summary>
/// <remarks>
/// Every virtual member has the kernel's result for an absent op as its default. Attach, detach and release are called under the
/// container's lock, one at a time; everything else may come from several threads at once, also while the instance is being released:
/// commands then answer <see cref="Errno.EINVAL"/>, as of a container without IOMMU.
/// </remarks>
public abstract class VfioIommu
{
    /// <summary>Whether devices can reach memory through it.</summary>
    public virtual bool CanAccessMemory => false;

    /// <summary>Answers CHECK_EXTENSION.</summary>
    /// <param name="extension">The extension number.</param>
    /// <returns>A positive number when it has it; 0 when not.</returns>
    public abstract int CheckExtension(uint extension);

    /// <summary>Executes a container command that the container does not own.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure.</param>
    /// <returns>The ioctl's result, or an errno; <see cref="Errno.ENOTTY"/> for an unknown one.</returns>
    public virtual IoResult Ioctl(uint command, UserArgument argument) => Errno.ENOTTY;

    /// <summary>Takes a group in.</summary>
    /// <param name="group">The group.</param>
    /// <returns><see cref="Errno.None"/>, or why not; nothing has then changed.</returns>
    public abstract Errno AttachGroup(VfioGroup group);

    /// <summary>Lets a group go.</summary>
    /// <param name="group">An attached group without open devices.</param>
    public abstract void DetachGroup(VfioGroup group);

    /// <summary>Tells of a device that is about to be opened. From here on it gets unmap notifications.</summary>
    /// <param name="device">The device.</param>
    public virtual void RegisterDevice(VfioDevice device)
    {
    }

    /// <summary>Tells of a device that was closed. On return no notification runs or comes any more.</summary>
    /// <param name="device">The device.</param>
    public virtual void UnregisterDevice(VfioDevice device)
    {
    }

    /// <summary>Pins pages, all or none.</summary>
    /// <param name="group">The group of the device that pins.</param>
    /// <param name="iova">First address.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="pages">Receives one page each 4096 bytes of address.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public virtual Errno PinPages(VfioGroup group, ulong iova, DmaAccess access, Span<PinnedPage?> pages) => Errno.ENOTTY;

    /// <summary>Gives pins back; an address that is not pinned is passed over.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="count">Number of pages.</param>
    public virtual void UnpinPages(ulong iova, int count)
    {
    }

    /// <summary>Copies from the user's memory.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="destination">Receives the bytes; not empty.</param>
    /// <returns><see cref="Errno.None"/>, or an errno; earlier bytes may have been copied.</returns>
    public virtual Errno Read(ulong iova, Span<byte> destination) => Errno.ENOTTY;

    /// <summary>Copies to the user's memory.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="source">The bytes; not empty.</param>
    /// <returns><see cref="Errno.None"/>, or an errno; earlier bytes may have been copied.</returns>
    public virtual Errno Write(ulong iova, ReadOnlySpan<byte> source) => Errno.ENOTTY;

    /// <summary>Ends the instance: drops all mappings. Called once, when no group is attached.</summary>
    public abstract void Release();
}
