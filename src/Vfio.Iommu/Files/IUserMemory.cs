using Vfio.Abi;

namespace Vfio;

/// <summary>The memory of the caller of an ioctl: this process, another process, or a fake in a test.</summary>
public interface IUserMemory
{
    /// <summary>Copies from the caller.</summary>
    /// <param name="address">The caller's address.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    Errno Read(ulong address, Span<byte> destination);

    /// <summary>Copies to the caller.</summary>
    /// <param name="address">The caller's address.</param>
    /// <param name="source">The bytes.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    Errno Write(ulong address, ReadOnlySpan<byte> source);
}
