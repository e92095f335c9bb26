using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// A backend for ranges of any alignment on one that takes only aligned ones (4 KiB sectors, NBD exports with a block size). What is at the edges
/// of a range is read, changed and written back, one such change of a region at a time.
/// </summary>
/// <remarks>The lock of a region is held around calls of the inner backend, and inside the lock that the namespace has for the same region.</remarks>
internal sealed class AlignedBackend : INvmeBackend, IReportingBackend
{
    private readonly INvmeBackend _inner;
    private readonly uint _alignment;
    private readonly BlockLocks _locks;
    private readonly AlignedBuffers _buffers = new();

    /// <param name="inner">The backend; owned from now on.</param>
    /// <param name="alignment">Alignment of its offsets and lengths in bytes: a power of two up to <see cref="AlignedBuffers.Length"/>.</param>
    public AlignedBackend(INvmeBackend inner, uint alignment)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(alignment, (uint)AlignedBuffers.Length);
        _inner = inner;
        _alignment = alignment;

        // The locks of a range hold what is around it too.
        _locks = new BlockLocks(isFine: alignment <= AlignedBuffers.Alignment);
        Length = inner.Length & ~(ulong)(alignment - 1);
    }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool MayWait => _inner.MayWait;

    /// <inheritdoc/>
    public bool IsRemote => _inner.IsRemote;

    /// <inheritdoc/>
    public bool HasVolatileCache => _inner.HasVolatileCache;

    /// <inheritdoc/>
    public bool IsReadOnly => _inner.IsReadOnly;

    /// <inheritdoc/>
    public bool IsDegraded => _inner is IReportingBackend { IsDegraded: true };

    /// <inheritdoc/>
    public Action<string>? Report
    {
        get => (_inner as IReportingBackend)?.Report;
        set
        {
            if (_inner is IReportingBackend reporting)
            {
                reporting.Report = value;
            }
        }
    }

    private ulong Mask => _alignment - 1;

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        if (IsAligned(offset, (ulong)destination.Length))
        {
            return _inner.Read(offset, destination);
        }

        Memory<byte> buffer = _buffers.Rent();
        Errno error = Errno.None;
        while (!destination.IsEmpty && error == Errno.None)
        {
            int length = Math.Min(destination.Length, BlockLocks.LeftInRegion(offset));
            Span<byte> around = Around(buffer, offset, length, out ulong start);
            error = _inner.Read(start, around);
            if (error == Errno.None)
            {
                around.Slice((int)(offset - start), length).CopyTo(destination);
            }

            destination = destination[length..];
            offset += (ulong)length;
        }

        _buffers.Return(buffer);
        return error;
    }

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        Errno error = Errno.None;
        while (!source.IsEmpty && error == Errno.None)
        {
            int length = Math.Min(source.Length, BlockLocks.LeftInRegion(offset));
            _locks.Enter(offset, length);
            error = IsAligned(offset, (ulong)length) ? _inner.Write(offset, source[..length]) : Change(offset, length, source[..length]);
            _locks.Exit(offset, length);
            source = source[length..];
            offset += (ulong)length;
        }

        return error;
    }

    /// <inheritdoc/>
    public Errno Flush() => _inner.Flush();

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length)
    {
        ulong first = (offset + Mask) & ~Mask;
        ulong last = (offset + length) & ~Mask;
        if (first >= last)
        {
            return ClearEdge(offset, length);
        }

        Errno error = ClearEdge(offset, first - offset);
        if (error == Errno.None)
        {
            _locks.EnterAll();
            error = _inner.Clear(first, last - first);
            _locks.ExitAll();
        }

        return error == Errno.None ? ClearEdge(last, offset + length - last) : error;
    }

    /// <inheritdoc/>
    public void Dispose() => _inner.Dispose();

    private bool IsAligned(ulong offset, ulong length) => ((offset | length) & Mask) == 0;

    private Errno ClearEdge(ulong offset, ulong length)
    {
        Errno error = Errno.None;
        while (length != 0 && error == Errno.None)
        {
            int piece = (int)Math.Min(length, (ulong)BlockLocks.LeftInRegion(offset));
            _locks.Enter(offset, piece);
            error = Change(offset, piece, default);
            _locks.Exit(offset, piece);
            offset += (ulong)piece;
            length -= (ulong)piece;
        }

        return error;
    }

    /// <summary>Reads what is around a range of one region, changes the range (zeros when there is no source), and writes all back. The region is held.</summary>
    private Errno Change(ulong offset, int length, ReadOnlySpan<byte> source)
    {
        Memory<byte> buffer = _buffers.Rent();
        Span<byte> around = Around(buffer, offset, length, out ulong start);
        Errno error = _inner.Read(start, around);
        if (error == Errno.None)
        {
            Span<byte> changed = around.Slice((int)(offset - start), length);
            if (source.IsEmpty)
            {
                changed.Clear();
            }
            else
            {
                source.CopyTo(changed);
            }

            error = _inner.Write(start, around);
        }

        _buffers.Return(buffer);
        return error;
    }

    private Span<byte> Around(Memory<byte> buffer, ulong offset, int length, out ulong start)
    {
        start = offset & ~Mask;
        ulong end = (offset + (ulong)length + Mask) & ~Mask;
        return buffer.Span[..(int)(end - start)];
    }
}
