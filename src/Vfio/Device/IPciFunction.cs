using Vfio.Abi;

namespace Vfio;

/// <summary>A device with a configuration space that can be looked at from outside, open or not, as sysfs shows it.</summary>
public interface IPciFunction
{
    /// <summary>Bytes of its configuration space: 256 or 4096.</summary>
    int ConfigLength { get; }

    /// <summary>Reads from its configuration space.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> outside.</returns>
    Errno ReadConfig(int offset, Span<byte> destination);
}
