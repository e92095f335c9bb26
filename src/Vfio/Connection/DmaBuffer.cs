using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>Memory that a driver shares with its device.</summary>
/// <remarks>Made by <see cref="VfioConnection.AllocateDma"/>. Dispose unmaps it, waits until the device has let go, and frees it.</remarks>
public sealed class DmaBuffer : IDisposable
{
    private readonly VfioConnection _connection;
    private readonly MemFd _memory;
    private readonly MemoryMapping _mapping;
    private int _disposed;

    internal DmaBuffer(VfioConnection connection, MemFd memory, MemoryMapping mapping, ulong iova)
    {
        _connection = connection;
        _memory = memory;
        _mapping = mapping;
        Iova = iova;
    }

    /// <summary>The address by which the device reaches the memory.</summary>
    public ulong Iova { get; }

    /// <summary>Length in bytes.</summary>
    public nuint Length => _mapping.Length;

    /// <summary>The memory; for buffers of less than 2 GiB.</summary>
    public Span<byte> Span => _mapping.Span;

    /// <summary>A part of the memory.</summary>
    /// <param name="offset">Where it starts, in bytes.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>The part.</returns>
    public Span<byte> Slice(nuint offset, int length) => _mapping.Slice(offset, length);

    /// <summary>Unmaps and frees the memory. When the unmap fails, the memory is kept: the device may still use it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        // After the connection has ended nobody can reach the memory by this address any more, whatever the answer is.
        Errno error = _connection.UnmapDma(Iova, (ulong)_mapping.Length);
        _memory.Dispose();
        if (error is Errno.None or Errno.ENOENT or Errno.ENOTCONN or Errno.ECONNRESET or Errno.EPIPE)
        {
            _mapping.Dispose();
        }
    }
}
