using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>A namespace: blocks with an identity (NVMe Base 2.0 §3.2).</summary>
/// <remarks>
/// Executing a command needs no lease: who detaches a namespace waits for the queues (<see cref="NvmeController.AwaitQueues"/>). Others, such as
/// a flush of all, take one; the backends are disposed when the last is given back.
/// </remarks>
internal sealed class NvmeNamespace
{
    /// <summary>Bytes of data for which a byte of metadata is kept: there are 8 for each block of at least 512.</summary>
    private const int DataOfMetadata = 512 / BlockFormat.TupleLength;

    /// <summary>Null while a format runs.</summary>
    private volatile BlockFormat? _format;
    private volatile bool _isWriteProtected;
    private int _leases = 1;

    /// <param name="id">NSID.</param>
    /// <param name="backend">Keeps the data; owned from now on.</param>
    /// <param name="metadata">Keeps metadata; null when the namespace has none. Owned.</param>
    /// <param name="unreadable">Owned.</param>
    /// <param name="format">The first format.</param>
    /// <param name="locks">Null when one thread runs all queues.</param>
    /// <param name="zones">Its zones; null when it has none. Owned.</param>
    /// <param name="serial">The controller's serial number.</param>
    /// <param name="generation">Which namespace with this identifier it is: 0 for the one that the controller began with.</param>
    public NvmeNamespace(uint id, INvmeBackend backend, INvmeBackend? metadata, UnreadableBlocks unreadable, BlockFormat format, BlockLocks? locks, ZoneTable? zones, string serial, int generation)
    {
        Id = id;
        Generation = generation;
        Backend = backend;
        Metadata = metadata;
        Unreadable = unreadable;
        _format = format;
        LastFormat = format;
        Locks = locks;
        Zones = zones;
        MayWait = backend.MayWait || metadata is { MayWait: true } || zones is { Records.MayWait: true };
        IsRemote = backend.IsRemote || metadata is { IsRemote: true } || zones is { Records.IsRemote: true };

        // The identity is the same at every start, and another for each serial number and namespace.
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(generation == 0 ? $"{serial}/{id}" : $"{serial}/{id}/{generation}"));
        Nguid = hash.AsSpan(0, 16).ToArray();
        Uuid = hash.AsSpan(16, 16).ToArray();
        Uuid[6] = (byte)((Uuid[6] & 0x0F) | 0x80);
        Uuid[8] = (byte)((Uuid[8] & 0x3F) | 0x80);
        Eui64 = BinaryPrimitives.ReadUInt64BigEndian(hash);
    }

    /// <summary>NSID, from 1.</summary>
    public uint Id { get; }

    /// <summary>Which namespace with this identifier it is.</summary>
    public int Generation { get; }

    /// <summary>How the bytes are divided into blocks; null while a format runs.</summary>
    public BlockFormat? Format => _format;

    /// <summary>The format that holds, or that held before the one that runs.</summary>
    public BlockFormat LastFormat { get; private set; }

    public INvmeBackend Backend { get; }

    /// <summary>Keeps metadata, <see cref="BlockFormat.TupleLength"/> bytes for each block; null when there is none.</summary>
    public INvmeBackend? Metadata { get; }

    /// <summary>Whether commands may wait for something slower than memory.</summary>
    public bool MayWait { get; }

    /// <summary>Whether they may wait for another program or machine.</summary>
    public bool IsRemote { get; }

    /// <summary>What Write Uncorrectable has marked.</summary>
    public UnreadableBlocks Unreadable { get; }

    /// <summary>Keeps blocks whole; null when one thread runs all queues.</summary>
    public BlockLocks? Locks { get; }

    /// <summary>Its zones; null when blocks can be written in any order.</summary>
    public ZoneTable? Zones { get; }

    /// <summary>CSI: which command set it has.</summary>
    public byte CommandSet => Zones is null ? IoCommandSet.Nvm : IoCommandSet.Zoned;

    /// <summary>Serialises fused pairs, and resets of zones, with other writers.</summary>
    public WriterGate Writers { get; } = new();

    /// <summary>Whether commands do not change the blocks.</summary>
    public bool IsReadOnly => Backend.IsReadOnly || _isWriteProtected;

    /// <summary>The host has protected the namespace (Set Features 84h).</summary>
    public bool IsWriteProtected
    {
        get => _isWriteProtected;
        set => _isWriteProtected = value;
    }

    /// <summary>FPI: percentage of a running format that is left.</summary>
    public int FormatLeft { get; set; }

    public byte[] Nguid { get; }

    /// <summary>A version 8 UUID, in network byte order.</summary>
    public byte[] Uuid { get; }

    public ulong Eui64 { get; }

    /// <summary>Bytes of metadata that are kept for a length of data.</summary>
    public static ulong MetadataOf(ulong length) => (length / DataOfMetadata) + BlockFormat.TupleLength;

    /// <summary>No command is executed until <see cref="EndFormat"/>.</summary>
    public void BeginFormat()
    {
        FormatLeft = 100;
        _format = null;
    }

    public void EndFormat(BlockFormat format)
    {
        LastFormat = format;
        FormatLeft = 0;
        _format = format;
    }

    /// <summary>Makes a range of blocks read as zeros, with metadata as deallocated blocks have it. The caller is in <see cref="Writers"/>.</summary>
    public Errno Clear(BlockFormat format, ulong first, ulong count)
    {
        ulong offset = first << format.BlockShift;
        ulong length = count << format.BlockShift;
        bool isShort = BlockLocks.IsInRegion(offset, length);
        if (isShort)
        {
            Locks?.Enter(offset, (int)length);
        }
        else
        {
            Locks?.EnterAll();
        }

        Errno error = Backend.Clear(offset, length);
        if (error == Errno.None && format.MetadataLength != 0)
        {
            error = Metadata!.Clear(first * BlockFormat.TupleLength, count * BlockFormat.TupleLength);
        }

        if (isShort)
        {
            Locks?.Exit(offset, (int)length);
        }
        else
        {
            Locks?.ExitAll();
        }

        if (error == Errno.None && !Unreadable.IsEmpty)
        {
            Unreadable.Mark(offset, length, unreadable: false);
        }

        return error;
    }

    /// <summary>Makes durable what was written.</summary>
    public Errno Flush()
    {
        Errno error = Backend.HasVolatileCache ? Backend.Flush() : Errno.None;
        error = error == Errno.None && Metadata is { HasVolatileCache: true } metadata ? metadata.Flush() : error;

        // Blocks before the pointers that say that they are there.
        return error == Errno.None && Zones is { Records: { HasVolatileCache: true } records } ? records.Flush() : error;
    }

    /// <summary>Whether what was written may be lost until a flush.</summary>
    public bool HasCache => Backend.HasVolatileCache || Metadata is { HasVolatileCache: true } || Zones is { Records.HasVolatileCache: true };

    /// <summary>Whether what keeps it is gone, or has lost something.</summary>
    public bool IsDegraded => Backend is WatchedBackend { IsDegraded: true } || Metadata is WatchedBackend { IsDegraded: true } || Zones is { Records.IsDegraded: true };

    /// <summary>Keeps the backends until <see cref="Release"/>.</summary>
    /// <returns>False when they are gone.</returns>
    public bool TryLease()
    {
        int leases = Volatile.Read(ref _leases);
        while (leases > 0)
        {
            int seen = Interlocked.CompareExchange(ref _leases, leases + 1, leases);
            if (seen == leases)
            {
                return true;
            }

            leases = seen;
        }

        return false;
    }

    /// <summary>Gives a lease back; the one that the namespace began with when it is deleted.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _leases) == 0)
        {
            Backend.Dispose();
            Metadata?.Dispose();
            Zones?.Dispose();
            Unreadable.Dispose();
        }
    }
}
