using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>What a <see cref="DmaSpace"/> is connected to while its device is open: an access object of iommufd, or a container.</summary>
/// <remarks>All members may be called from any thread, and none allocates except <see cref="TryPin"/>.</remarks>
public interface IDmaPath
{
    /// <summary>Whether there is an address space behind it.</summary>
    bool IsAttached { get; }

    /// <summary>Copies from the user's memory; see <see cref="DmaSpace.Read(ulong, Span{byte})"/>.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    Errno Read(ulong iova, Span<byte> destination);

    /// <summary>Copies to the user's memory; see <see cref="DmaSpace.Write(ulong, ReadOnlySpan{byte})"/>.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="source">The bytes.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    Errno Write(ulong iova, ReadOnlySpan<byte> source);

    /// <summary>Opens a window; see <see cref="DmaSpace.TryOpenWindow"/>.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="window">The window.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EOPNOTSUPP"/> when the memory can only be copied.</returns>
    Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window);

    /// <summary>Takes a lease; see <see cref="DmaSpace.TryPin"/>.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="pin">The lease.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EOPNOTSUPP"/> when the memory can only be copied.</returns>
    Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin);
}
