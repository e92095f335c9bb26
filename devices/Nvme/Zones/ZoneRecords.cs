using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>How far zones are written, on storage that outlives the program: a head, and 16 bytes for each zone. The README has the layout.</summary>
internal sealed class ZoneRecords : IDisposable
{
    private const int HeadLength = 64;
    private const int RecordLength = 16;
    private const int Granule = 4096;

    /// <summary><c>VFIOZONE</c>, little-endian.</summary>
    private const ulong Magic = 0x454E_4F5A_4F49_4656;

    private readonly INvmeBackend _storage;

    /// <summary>Takes the records that there are, or begins with all zones empty where there is nothing.</summary>
    /// <param name="storage">Where they are; disposed with this, not when it throws.</param>
    /// <param name="zoneSize">Bytes of a zone.</param>
    /// <param name="zoneCapacity">Bytes of a zone that can be written.</param>
    /// <param name="count">Number of zones.</param>
    /// <param name="loaded">What was recorded before the program began, for <see cref="Read"/>.</param>
    /// <exception cref="IOException">The records are of other zones, or cannot be read or written.</exception>
    public ZoneRecords(INvmeBackend storage, ulong zoneSize, ulong zoneCapacity, int count, out byte[] loaded)
    {
        _storage = storage;
        ulong length = LengthFor((ulong)count);
        if (storage.Length < length)
        {
            throw new IOException($"The zone records have {storage.Length} bytes; {length} are needed for {count} zones.");
        }

        loaded = new byte[length];
        Check(storage.Read(0, loaded), "read");
        Span<byte> head = stackalloc byte[HeadLength];
        head.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(head, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(head[16..], zoneSize);
        BinaryPrimitives.WriteUInt64LittleEndian(head[24..], zoneCapacity);
        BinaryPrimitives.WriteUInt64LittleEndian(head[32..], (ulong)count);
        Span<byte> found = loaded.AsSpan(0, HeadLength);
        if (!found.ContainsAnyExcept((byte)0))
        {
            if (!storage.IsReadOnly)
            {
                Check(storage.Write(0, head), "write");
            }
        }
        else if (!found.SequenceEqual(head))
        {
            bool isOurs = BinaryPrimitives.ReadUInt64LittleEndian(found) == Magic;
            throw new IOException(isOurs
                ? $"The zone records are of {BinaryPrimitives.ReadUInt64LittleEndian(found[32..])} zones of {BinaryPrimitives.ReadUInt64LittleEndian(found[16..])} bytes with a capacity of {BinaryPrimitives.ReadUInt64LittleEndian(found[24..])}, not of {count} of {zoneSize} with {zoneCapacity}: give the namespace the zones that it had. Nothing was changed."
                : "What is to keep the zones holds something else: give another file, which is made when it is missing. Nothing was changed.");
        }
    }

    /// <summary>Whether what was recorded may be lost until <see cref="Flush"/>.</summary>
    public bool HasVolatileCache => _storage.HasVolatileCache;

    /// <summary>Whether recording may wait.</summary>
    public bool MayWait => _storage.MayWait;

    public bool IsRemote => _storage.IsRemote;

    /// <summary>Whether the storage fails what it is asked for.</summary>
    public bool IsDegraded => _storage is WatchedBackend { IsDegraded: true };

    /// <summary>Bytes for a number of zones.</summary>
    public static ulong LengthFor(ulong count) => (HeadLength + (count * RecordLength) + Granule - 1) / Granule * Granule;

    /// <summary>What was recorded before the program began.</summary>
    /// <param name="loaded">What the constructor read.</param>
    /// <param name="index">The zone.</param>
    /// <param name="written">Bytes that are written.</param>
    /// <returns>Read-only or offline; else empty.</returns>
    public static ZoneState Read(ReadOnlySpan<byte> loaded, int index, out ulong written)
    {
        ReadOnlySpan<byte> record = loaded.Slice(HeadLength + (index * RecordLength), RecordLength);
        written = BinaryPrimitives.ReadUInt64LittleEndian(record);
        return record[8] == 0 ? ZoneState.Empty : (ZoneState)record[8];
    }

    /// <summary>Records a zone. Which of the states that a power cycle ends it is in is not kept.</summary>
    public Errno Write(int index, ZoneState state, ulong written)
    {
        Span<byte> record = stackalloc byte[RecordLength];
        record.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(record, written);
        record[8] = (byte)(state is ZoneState.ReadOnly or ZoneState.Offline ? state : 0);
        return _storage.Write(HeadLength + ((ulong)index * RecordLength), record);
    }

    public Errno Flush() => _storage.Flush();

    public void Dispose() => _storage.Dispose();

    private static void Check(Errno error, string operation)
    {
        if (error != Errno.None)
        {
            throw new IOException($"The zone records cannot be {(operation == "read" ? "read" : "written")}: {error.GetName()} ({error.GetText()}).");
        }
    }
}
