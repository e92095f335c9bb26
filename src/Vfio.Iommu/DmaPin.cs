namespace Vfio.Iommu;

/// <summary>
/// A lease on mapped memory: it stays where it is, and cannot be unmapped, until the lease is disposed. Taken with
/// <see cref="DmaSpace.TryPin"/>.
/// </summary>
/// <remarks>
/// The user's unmap of the memory waits for the lease: the device is asked back through <c>OnDmaUnmap</c> and must dispose the lease
/// there. The memory is shared with whoever mapped it, who may change it at any time: copy what must not change between check and use.
/// </remarks>
public sealed class DmaPin : IDisposable
{
    private readonly IovaMap _map;
    private readonly DmaPinSegment[] _segments;
    private int _disposed;

    internal DmaPin(IovaMap map, IovaRange range, DmaPinSegment[] segments)
    {
        _map = map;
        _segments = segments;
        Range = range;
    }

    /// <summary>The addresses that the lease covers.</summary>
    public IovaRange Range { get; }

    /// <summary>How many pieces of memory the range consists of; 1 when it is contiguous in this process.</summary>
    public int SegmentCount => _segments.Length;

    /// <summary>The memory of a contiguous lease.</summary>
    /// <exception cref="InvalidOperationException">The range consists of several pieces: use <see cref="GetSegment"/>.</exception>
    public Span<byte> Span => _segments.Length == 1
        ? GetSegment(0)
        : throw new InvalidOperationException($"{Range} is shown by {_segments.Length} mappings; walk them with GetSegment.");

    /// <summary>One piece of the memory.</summary>
    /// <param name="index">0 to <see cref="SegmentCount"/> − 1, in ascending address order.</param>
    /// <returns>The memory.</returns>
    /// <exception cref="ObjectDisposedException">The lease was given back.</exception>
    public unsafe Span<byte> GetSegment(int index)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);

        // SAFETY: the pin count of the area and the reference on its source keep the memory mapped until Dispose.
        return new Span<byte>((void*)_segments[index].Pointer, checked((int)_segments[index].Length));
    }

    /// <summary>Gives the lease back. The second and later calls do nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _map.Unpin(_segments);
        }
    }
}
