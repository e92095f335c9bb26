using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// A base that is only read, and beside it the clusters of 64 KiB that were written: in a sparse file, which goes on where it was when it is opened again, or
/// in memory, which is forgotten. A cluster that is written in part is copied from the base first.
/// </summary>
/// <remarks>
/// <para>
/// In the file a bit for each cluster says whether it is there. A flush makes the clusters durable before their bits, so that after a crash each cluster
/// is as at a flush or later, or still that of the base when there was none since it was written.
/// </para>
/// <para>
/// A cluster is copied under the lock of its region. Others need none: a cluster that is there stays, and whoever keeps blocks whole
/// (<see cref="NvmeNamespace"/>) keeps reads and writes of the same blocks apart.
/// </para>
/// </remarks>
internal sealed class OverlayBackend : INvmeBackend, IReportingBackend
{
    private const int ClusterLength = OverlayHeader.ClusterLength;
    private const int PageBits = OverlayHeader.PageLength * 8;

    private readonly INvmeBackend _base;
    private readonly INvmeBackend _store;
    private readonly BlockLocks _locks = new();
    private readonly AlignedBuffers _buffers = new();
    private readonly FlushGate _gate;
    private readonly bool _isKept;
    private readonly ulong _dataOffset;

    /// <summary>A bit for each cluster that is in the store.</summary>
    private readonly ulong[] _bits;

    /// <summary>The bits as they are, or are being, written. Guarded by the gate.</summary>
    private readonly ulong[] _written;

    /// <summary>Pages of the bitmap that differ from what is written.</summary>
    private readonly byte[] _changed;

    /// <summary>Those that the flush writes that runs. Guarded by the gate.</summary>
    private readonly bool[] _pending;

    private OverlayBackend(INvmeBackend lower, INvmeBackend store, bool isKept)
    {
        _base = lower;
        _store = store;
        _isKept = isKept;
        Length = lower.Length;
        _dataOffset = isKept ? OverlayHeader.DataOffset(Length) : 0;
        _bits = new ulong[OverlayHeader.BitmapLength(Length) / sizeof(ulong)];
        _written = isKept ? new ulong[_bits.Length] : [];
        _changed = new byte[_bits.Length * 64 / PageBits];
        _pending = new bool[_changed.Length];
        _gate = new FlushGate(Synchronize);
    }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool MayWait => true;

    /// <inheritdoc/>
    public bool IsRemote => _base.IsRemote;

    /// <inheritdoc/>
    public bool HasVolatileCache => _isKept;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public bool IsDegraded => _base is IReportingBackend { IsDegraded: true };

    /// <inheritdoc/>
    public Action<string>? Report
    {
        get => (_base as IReportingBackend)?.Report;
        set
        {
            if (_base is IReportingBackend reporting)
            {
                reporting.Report = value;
            }
        }
    }

    /// <summary>Lays memory over a base.</summary>
    /// <param name="lower">The base; owned.</param>
    /// <exception cref="IOException">There is not that much memory.</exception>
    public static INvmeBackend InMemory(INvmeBackend lower) => Lay(lower, static lower => new OverlayBackend(lower, new MemoryBackend(lower.Length), isKept: false));

    /// <summary>Lays a file over a base; makes it when it is missing or empty.</summary>
    /// <param name="lower">The base; owned.</param>
    /// <param name="path">The overlay file.</param>
    /// <param name="isDirect">Whether the file is opened with O_DIRECT.</param>
    /// <exception cref="IOException">The file cannot be opened, or is no overlay of this base.</exception>
    public static INvmeBackend InFile(INvmeBackend lower, string path, bool isDirect) => Lay(
        lower,
        lower => On(lower, FileBackend.Open(path, new FileBackendOptions { CreateSize = OverlayHeader.FileLength(lower.Length), IsDirect = isDirect }), path));

    /// <summary>Lays what is in a store over a base.</summary>
    /// <param name="lower">The base; owned after success.</param>
    /// <param name="store">Holds an overlay, or zeros of exactly its length. Owned.</param>
    /// <param name="name">Its name in messages.</param>
    /// <exception cref="IOException">The store is no overlay of this base.</exception>
    public static OverlayBackend On(INvmeBackend lower, INvmeBackend store, string name)
    {
        try
        {
            var overlay = new OverlayBackend(lower, store, isKept: true);
            overlay.Load(name);
            return overlay;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        Errno error = Errno.None;
        while (!destination.IsEmpty && error == Errno.None)
        {
            Span<byte> piece = destination[..Math.Min(destination.Length, BlockLocks.LeftInRegion(offset))];

            // A cluster that comes meanwhile has, but for what is being written at the same time, the base's content.
            error = Has(offset >> OverlayHeader.ClusterShift) ? _store.Read(_dataOffset + offset, piece) : _base.Read(offset, piece);
            offset += (ulong)piece.Length;
            destination = destination[piece.Length..];
        }

        return error;
    }

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        Errno error = Errno.None;
        while (!source.IsEmpty && error == Errno.None)
        {
            ReadOnlySpan<byte> piece = source[..Math.Min(source.Length, BlockLocks.LeftInRegion(offset))];
            error = WriteCluster(offset, piece.Length, piece);
            offset += (ulong)piece.Length;
            source = source[piece.Length..];
        }

        return error;
    }

    /// <inheritdoc/>
    public Errno Flush() => _isKept ? _gate.Flush() : Errno.None;

    /// <inheritdoc/>
    /// <remarks>A cluster of zeros is there and is a hole.</remarks>
    public Errno Clear(ulong offset, ulong length)
    {
        Errno error = Errno.None;
        while (length != 0 && error == Errno.None)
        {
            int piece = (int)Math.Min(length, (ulong)BlockLocks.LeftInRegion(offset));
            error = WriteCluster(offset, piece, default);
            offset += (ulong)piece;
            length -= (ulong)piece;
        }

        return error;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _store.Dispose();
        _base.Dispose();
    }

    private static OverlayBackend Lay(INvmeBackend lower, Func<INvmeBackend, OverlayBackend> make)
    {
        try
        {
            return lower.Length <= OverlayHeader.MaxBase
                ? make(lower)
                : throw new IOException($"An overlay is for bases of up to {OverlayHeader.MaxBase} bytes; this one has {lower.Length}.");
        }
        catch
        {
            lower.Dispose();
            throw;
        }
    }

    /// <summary>Reads header and bitmap, or makes them in a file that was just made.</summary>
    private void Load(string path)
    {
        Memory<byte> buffer = _buffers.Rent();
        Span<byte> header = buffer.Span[..OverlayHeader.Length];
        Span<byte> bitmap = MemoryMarshal.AsBytes(_bits.AsSpan());
        ulong expected = OverlayHeader.FileLength(Length);
        Errno error = _store.Read(0, header);
        bool isNew = error == Errno.None && !header.ContainsAnyExcept((byte)0) && _store.Length == expected;
        if (isNew)
        {
            OverlayHeader.Write(header, Length);
            error = _store.Write(0, header);
            error = error == Errno.None ? _store.Flush() : error;
        }
        else if (error == Errno.None)
        {
            if (OverlayHeader.FindMistake(header, Length) is { } mistake)
            {
                throw new IOException($"'{path}' cannot be the overlay: {mistake}. It is left as it is; give another name, under which an overlay is made.");
            }

            if (_store.Length < expected)
            {
                throw new IOException($"'{path}' cannot be the overlay: it was cut to {_store.Length} bytes of {expected}.");
            }

            error = _store.Read(OverlayHeader.Length, bitmap);
        }

        _buffers.Return(buffer);
        if (error != Errno.None)
        {
            throw new Vfio.Linux.LinuxException(error, $"{(isNew ? "write" : "read")} the head of the overlay '{path}'");
        }

        _bits.CopyTo(_written, 0);
    }

    /// <summary>Writes within a cluster; zeros when there is no source.</summary>
    private Errno WriteCluster(ulong offset, int length, ReadOnlySpan<byte> source)
    {
        ulong cluster = offset >> OverlayHeader.ClusterShift;
        ulong start = cluster << OverlayHeader.ClusterShift;
        int whole = (int)Math.Min(ClusterLength, Length - start);
        if (Has(cluster))
        {
            // It stays.
            return WriteStore(offset, length, source);
        }

        _locks.Enter(offset, length);
        bool isThere = Has(cluster);
        Errno error;
        if (isThere || length == whole)
        {
            error = WriteStore(offset, length, source);
        }
        else
        {
            Memory<byte> buffer = _buffers.Rent();
            Span<byte> copy = buffer.Span[..whole];
            error = _base.Read(start, copy);
            if (error == Errno.None)
            {
                Span<byte> changed = copy.Slice((int)(offset - start), length);
                if (source.IsEmpty)
                {
                    changed.Clear();
                }
                else
                {
                    source.CopyTo(changed);
                }

                error = _store.Write(_dataOffset + start, copy);
            }

            _buffers.Return(buffer);
        }

        if (error == Errno.None && !isThere)
        {
            // Behind the data: a flush that sees the bit makes both durable, in this order.
            Interlocked.Or(ref _bits[cluster / 64], 1UL << (int)(cluster % 64));
            Volatile.Write(ref _changed[cluster / PageBits], 1);
        }

        _locks.Exit(offset, length);
        return error;
    }

    private Errno WriteStore(ulong offset, int length, ReadOnlySpan<byte> source)
        => source.IsEmpty ? _store.Clear(_dataOffset + offset, (ulong)length) : _store.Write(_dataOffset + offset, source);

    private bool Has(ulong cluster) => (Volatile.Read(ref _bits[cluster / 64]) & (1UL << (int)(cluster % 64))) != 0;

    /// <summary>Makes the clusters durable, then the bits of those that were there before.</summary>
    private Errno Synchronize()
    {
        const int PageWords = OverlayHeader.PageLength / sizeof(ulong);
        bool hasBits = false;
        for (int page = 0; page < _changed.Length; page++)
        {
            // The mark goes first: who sets a bit behind the copy marks the page again.
            _pending[page] = Volatile.Read(ref _changed[page]) != 0 && Interlocked.Exchange(ref _changed[page], 0) != 0;
            if (_pending[page])
            {
                hasBits = true;
                _bits.AsSpan(page * PageWords, PageWords).CopyTo(_written.AsSpan(page * PageWords));
            }
        }

        Errno error = _store.Flush();
        if (!hasBits || error != Errno.None)
        {
            return error;
        }

        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(_written.AsSpan());
        for (int page = 0; page < _changed.Length && error == Errno.None; page++)
        {
            if (_pending[page])
            {
                int place = page * OverlayHeader.PageLength;
                error = _store.Write((ulong)(OverlayHeader.Length + place), bytes.Slice(place, OverlayHeader.PageLength));
            }
        }

        return error == Errno.None ? _store.Flush() : error;
    }
}
