using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A device's view of the memory that its user mapped for it: read, write and pin by I/O virtual address.</summary>
/// <remarks>
/// <para>
/// Lives as long as the device. While the device is not bound, or not attached to an address space, every member answers
/// <see cref="Errno.EINVAL"/> or <see cref="Errno.ENOENT"/> and touches nothing.
/// </para>
/// <para>
/// Behind it stands, for a group device, the page table that its user attached it to, as hardware's DMA would go (<see cref="GroupDmaPath"/>): what
/// is not mapped there, or not with that right, is <see cref="Errno.EFAULT"/>. For others it is an iommufd access object or a container's IOMMU;
/// the latter answers <see cref="Errno.EINVAL"/> where the former answers <see cref="Errno.ENOENT"/>.
/// </para>
/// <para>All members may be called from any thread, and none allocates except <see cref="TryPin"/>.</para>
/// </remarks>
public sealed partial class DmaSpace
{
    private volatile IDmaPath? _path;

    /// <summary>Whether the device is bound and attached, so that transfers can succeed.</summary>
    public bool IsAttached => _path?.IsAttached ?? false;

    /// <summary>Copies from the user's memory to the device.</summary>
    /// <param name="iova">First address; any alignment.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when the device is not bound, the length is 0 or the memory is being unmapped;
    /// <see cref="Errno.ENOENT"/> at an address that is not mapped; <see cref="Errno.EPERM"/> when it may not be read;
    /// <see cref="Errno.EFAULT"/> when the memory is gone; further ones from memory that is reached by messages.
    /// </returns>
    /// <remarks><c>vfio_dma_rw</c>. Not atomic: on failure earlier bytes may have been copied.</remarks>
    public Errno Read(ulong iova, Span<byte> destination)
    {
        IDmaPath? path = _path;
        return path is null ? Errno.EINVAL : path.Read(iova, destination);
    }

    /// <summary>Copies from the device to the user's memory.</summary>
    /// <param name="iova">First address; any alignment.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>As for <see cref="Read(ulong, Span{byte})"/>.</returns>
    /// <remarks><c>vfio_dma_rw</c> with write.</remarks>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source)
    {
        IDmaPath? path = _path;
        if (path is null)
        {
            return Errno.EINVAL;
        }

        Errno error = path.Write(iova, source);
        Log(iova, source.Length);
        return error;
    }

    /// <summary>Opens a window for direct access during a few statements.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="window">The window; dispose it exactly once on success.</param>
    /// <returns>As for <see cref="Read(ulong, Span{byte})"/>; <see cref="Errno.EOPNOTSUPP"/> when the memory can only be copied or the range spans mappings.</returns>
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
    {
        IDmaPath? current = _path;
        if (current is null)
        {
            window = default;
            return Errno.EINVAL;
        }

        Errno error = current.TryOpenWindow(iova, length, access, out window);
        if (error == Errno.None && access != DmaAccess.Read)
        {
            window.BelongTo(this, iova);
        }

        return error;
    }

    /// <summary>Opens a cursor: for following lists and rings through memory without entering it anew at each step.</summary>
    /// <returns>The cursor; dispose it exactly once, and soon: every unmap of the address space waits for it.</returns>
    /// <remarks>Never fails: while the device is not bound or not attached, the cursor's look-ups answer why.</remarks>
    public DmaCursor OpenCursor() => new(this, _path);

    /// <summary>Takes a lease on memory. Only for devices that return true from <c>CanPin</c>.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="pin">The lease; dispose it when done, and at the latest in <c>OnDmaUnmap</c>.</param>
    /// <returns>As for <see cref="Read(ulong, Span{byte})"/>, all or nothing; <see cref="Errno.EOPNOTSUPP"/> when the memory can only be copied.</returns>
    /// <remarks><c>vfio_pin_pages</c>.</remarks>
    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin)
    {
        IDmaPath? current = _path;
        if (current is null)
        {
            pin = null;
            return Errno.EINVAL;
        }

        Errno error = current.TryPin(iova, length, access, out pin);
        if (error == Errno.None && access != DmaAccess.Read)
        {
            BeginLease(pin!);
        }

        return error;
    }

    /// <summary>Connects the space to what a binding offers, or disconnects it. For implementers of <c>BindIommufd</c>.</summary>
    /// <param name="path">An access object or a container's path; null at unbind.</param>
    public void Connect(IDmaPath? path) => _path = path;
}
