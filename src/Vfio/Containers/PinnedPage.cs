using Vfio.Abi;

namespace Vfio;

/// <summary>A page of a user's memory that a device has pinned through a container (<c>struct page</c>).</summary>
/// <remarks>Pinning one address again answers the same object. It may be used until the last unpin of its address.</remarks>
public sealed class PinnedPage
{
    internal PinnedPage(IUserMemory memory, ulong address, int length, bool writable)
    {
        Memory = memory;
        Address = address;
        Length = length;
        Pointer = (memory as IDirectUserMemory)?.GetPointer(address, (ulong)length, writable) ?? 0;
    }

    /// <summary>Whose memory.</summary>
    public IUserMemory Memory { get; }

    /// <summary>The user's address of its first byte.</summary>
    public ulong Address { get; }

    /// <summary>Length in bytes: a page.</summary>
    public int Length { get; }

    /// <summary>Where it lies in this process; 0 when it can only be copied (see <see cref="IDirectUserMemory"/>).</summary>
    public nint Pointer { get; }

    /// <summary>Number of pins on the address. Guarded by the IOMMU's lock.</summary>
    internal int Users { get; set; } = 1;

    /// <summary>Copies from the page.</summary>
    /// <param name="offset">Offset in the page.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.EINVAL"/> outside the page, or <see cref="Errno.EFAULT"/> when the user took the memory away.</returns>
    public Errno Read(int offset, Span<byte> destination)
        => Contains(offset, destination.Length) ? Memory.Read(Address + (ulong)offset, destination) : Errno.EINVAL;

    /// <summary>Copies to the page.</summary>
    /// <param name="offset">Offset in the page.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>As for <see cref="Read"/>.</returns>
    public Errno Write(int offset, ReadOnlySpan<byte> source)
        => Contains(offset, source.Length) ? Memory.Write(Address + (ulong)offset, source) : Errno.EINVAL;

    private bool Contains(int offset, int length) => offset >= 0 && offset <= Length && length <= Length - offset;
}
