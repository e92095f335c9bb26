using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Keeps nothing: what is written is discarded, and reads leave the host's memory as it is. For measuring what the controller itself costs.</summary>
public sealed class NullBackend : INvmeBackend
{
    /// <param name="length">The length in bytes that it claims.</param>
    public NullBackend(ulong length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)long.MaxValue);
        Length = length;
    }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool MayWait => false;

    /// <inheritdoc/>
    public bool HasVolatileCache => false;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination) => Errno.None;

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source) => Errno.None;

    /// <inheritdoc/>
    public Errno Flush() => Errno.None;

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length) => Errno.None;

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
