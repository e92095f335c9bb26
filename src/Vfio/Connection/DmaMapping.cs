using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>A part of <see cref="DmaMemory"/> that a device reaches. Dispose takes it from the device.</summary>
/// <remarks>Made by <see cref="VfioConnection.MapDma(DmaMemory, nuint, nuint, DmaAccess, ulong?)"/>.</remarks>
public sealed class DmaMapping : IDisposable
{
    private readonly VfioConnection _connection;
    private readonly MemoryMapping _memory;
    private int _disposed;

    internal DmaMapping(VfioConnection connection, MemoryMapping memory, IovaRange range, DmaAccess access)
    {
        _connection = connection;
        _memory = memory;
        Range = range;
        Access = access;
    }

    /// <summary>The address by which the device reaches it.</summary>
    public ulong Iova => Range.Start;

    /// <summary>The addresses by which the device reaches it.</summary>
    public IovaRange Range { get; }

    /// <summary>What the device may do.</summary>
    public DmaAccess Access { get; }

    /// <summary>Unmaps it; on return the device does not touch it any more. When the unmap fails, the memory is kept until the connection ends: the device may still use it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        // After the connection has ended nobody can reach the memory by this address any more, whatever the answer is.
        Errno error = _connection.UnmapDma(Range.Start, Range.Length);
        if (error is Errno.None or Errno.ENOENT or Errno.ENOTCONN or Errno.ECONNRESET or Errno.EPIPE)
        {
            _memory.DangerousRelease();
        }
        else
        {
            _connection.KeepUntilEnd(_memory);
        }
    }
}
