namespace Vfio.Iommu;

/// <summary>
/// A lease on mapped memory: it stays where it is, and cannot be unmapped, until the lease is disposed. Taken with
/// <see cref="DmaSpace.TryPin"/>.
/// </summary>
/// <remarks>
/// The user's unmap of the memory waits for the lease: the device is asked back through <c>OnDmaUnmap</c> and must dispose the lease
/// there. The memory is shared with whoever mapped it, who may change it at any time: copy what must not change between check and use.
/// </remarks>
public abstract class DmaPin : IDisposable
{
    private DmaSpace? _writer;
    private int _disposed;

    /// <summary>Begins a lease.</summary>
    /// <param name="range">The addresses that it covers.</param>
    protected DmaPin(IovaRange range)
    {
        Range = range;
    }

    /// <summary>The addresses that the lease covers.</summary>
    public IovaRange Range { get; }

    /// <summary>How many pieces of memory the range consists of; 1 when it is contiguous in this process.</summary>
    public abstract int SegmentCount { get; }

    /// <summary>The memory of a contiguous lease.</summary>
    /// <exception cref="InvalidOperationException">The range consists of several pieces: use <see cref="GetSegment"/>.</exception>
    public Span<byte> Span => SegmentCount == 1
        ? GetSegment(0)
        : throw new InvalidOperationException($"{Range} is shown by {SegmentCount} pieces of memory; walk them with GetSegment.");

    /// <summary>One piece of the memory.</summary>
    /// <param name="index">0 to <see cref="SegmentCount"/> − 1, in ascending address order.</param>
    /// <returns>The memory.</returns>
    /// <exception cref="ObjectDisposedException">The lease was given back.</exception>
    public Span<byte> GetSegment(int index)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        return SegmentMemory(index);
    }

    /// <summary>Gives the lease back. The second and later calls do nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _writer?.EndLease(this);
            Release();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>The device writes: its log has the lease. Called once, before the lease is handed out.</summary>
    internal void BelongTo(DmaSpace writer) => _writer = writer;

    /// <summary>One piece of the memory of a live lease.</summary>
    /// <param name="index">Its number.</param>
    /// <returns>The memory, which stays valid until <see cref="Release"/>.</returns>
    protected abstract Span<byte> SegmentMemory(int index);

    /// <summary>Gives back what the lease holds. Runs once.</summary>
    protected abstract void Release();
}
