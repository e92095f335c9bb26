using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>A namespace as a saved state describes it. What it holds is behind all descriptions, where it is in memory; files and the like are opened by both controllers.</summary>
internal sealed class NamespaceState
{
    /// <summary>Bytes of memory that are looked at, and sent when they are not all zeros.</summary>
    public const int PieceLength = 64 * 1024;

    public const int PieceHeadLength = sizeof(ulong) + sizeof(uint);

    /// <summary>Bytes of a zone that is not empty: that there is one, which, its state, how far it is written.</summary>
    public const int ZoneLength = 1 + sizeof(uint) + 1 + sizeof(ulong);

    private const ulong EndOfPieces = ulong.MaxValue;
    private readonly List<(ulong Start, ulong End)> _unreadable = [];
    private readonly List<(int Index, ZoneState State, ulong Written)> _zones = [];

    private NamespaceState()
    {
    }

    public uint Id { get; private init; }

    /// <summary>Which namespace with this identifier it is.</summary>
    public int Generation { get; private init; }

    public ulong Length { get; private init; }

    /// <summary>Whether its blocks are in the process's memory.</summary>
    public bool IsMemory { get; private init; }

    public bool HasMetadata { get; private init; }

    public bool IsMetadataMemory { get; private init; }

    public bool IsAttached { get; private init; }

    public bool IsWriteProtected { get; private init; }

    public BlockFormat Format { get; private set; } = null!;

    public bool IsZoned => ZoneSize != 0;

    /// <summary>Bytes of a zone; 0 for none.</summary>
    public ulong ZoneSize { get; private set; }

    /// <summary>Bytes of a zone that can be written.</summary>
    public ulong ZoneCapacity { get; private set; }

    /// <summary>Bytes that are in this process's memory, and nowhere else.</summary>
    public static ulong MemoryLength(NvmeNamespace ns)
        => (ns.Backend is MemoryBackend ? ns.Backend.Length : 0) + (ns.Metadata is MemoryBackend metadata ? metadata.Length : 0);

    public static void Save(DeviceStateWriter writer, NvmeNamespace ns, bool isAttached)
    {
        BlockFormat format = ns.LastFormat;
        writer.WriteUInt16((ushort)ns.Id);
        writer.WriteUInt32((uint)ns.Generation);
        writer.WriteUInt64(ns.Backend.Length);
        writer.WriteBoolean(ns.Backend is MemoryBackend);
        writer.WriteBoolean(ns.Metadata is not null);
        writer.WriteBoolean(ns.Metadata is MemoryBackend);
        writer.WriteBoolean(isAttached);
        writer.WriteBoolean(ns.IsWriteProtected);
        writer.WriteByte((byte)format.Index);
        writer.WriteBoolean(format.IsExtended);
        writer.WriteByte((byte)format.Protection);
        writer.WriteBoolean(format.IsProtectionFirst);
        for (ulong at = 0; ns.Unreadable.TryFindRun(at, ns.Backend.Length, out ulong start, out ulong end); at = end)
        {
            writer.WriteBoolean(true);
            writer.WriteUInt64(start);
            writer.WriteUInt64(end);
        }

        writer.WriteBoolean(false);
        SaveZones(writer, ns.Zones);
    }

    /// <summary>Size and capacity, and the zones that are not empty.</summary>
    private static void SaveZones(DeviceStateWriter writer, ZoneTable? zones)
    {
        writer.WriteUInt64(zones?.Size ?? 0);
        if (zones is null)
        {
            return;
        }

        writer.WriteUInt64(zones.Capacity);
        for (int i = 0; i < zones.Count; i++)
        {
            ZoneState state = zones.Look(i, out ulong written);
            if (state != ZoneState.Empty)
            {
                writer.WriteBoolean(true);
                writer.WriteUInt32((uint)i);
                writer.WriteByte((byte)state);
                writer.WriteUInt64(written);
            }
        }

        writer.WriteBoolean(false);
    }

    private bool TryReadZones(ref DeviceStateReader reader)
    {
        ZoneSize = reader.ReadUInt64();
        if (!IsZoned)
        {
            return true;
        }

        ZoneCapacity = reader.ReadUInt64();
        if (!System.Numerics.BitOperations.IsPow2(ZoneSize) || ZoneSize < NvmeZoneOptions.MinimumSize || ZoneCapacity > ZoneSize || Length % ZoneSize != 0 || Length / ZoneSize > NvmeZoneOptions.MaximumCount)
        {
            return false;
        }

        for (long last = -1; reader.ReadBoolean();)
        {
            long index = reader.ReadUInt32();
            var state = (ZoneState)reader.ReadByte();
            ulong written = reader.ReadUInt64();
            if (reader.IsBroken || index <= last || (ulong)index >= Length / ZoneSize || state == ZoneState.Empty || !ZoneTable.IsPossible(state, written, ZoneCapacity))
            {
                return false;
            }

            _zones.Add(((int)index, state, written));
            last = index;
        }

        return true;
    }

    /// <summary>Reads a description.</summary>
    /// <returns>Null when no namespace is like that.</returns>
    public static NamespaceState? TryRead(ref DeviceStateReader reader)
    {
        const ulong Unit = 512;
        var state = new NamespaceState
        {
            Id = reader.ReadUInt16(),
            Generation = (int)reader.ReadUInt32(),
            Length = reader.ReadUInt64(),
            IsMemory = reader.ReadBoolean(),
            HasMetadata = reader.ReadBoolean(),
            IsMetadataMemory = reader.ReadBoolean(),
            IsAttached = reader.ReadBoolean(),
            IsWriteProtected = reader.ReadBoolean(),
        };
        int index = reader.ReadByte();
        bool isExtended = reader.ReadBoolean();
        int protection = reader.ReadByte();
        bool isFirst = reader.ReadBoolean();
        if (!NvmeController.IsValidNamespace(state.Id) || state.Length > long.MaxValue || BlockFormat.TryCreate(index, isExtended, protection, isFirst, state.Length, state.HasMetadata) is not { } format)
        {
            return null;
        }

        state.Format = format;
        for (ulong last = 0; reader.ReadBoolean();)
        {
            ulong start = reader.ReadUInt64();
            ulong end = reader.ReadUInt64();
            if (reader.IsBroken || start < last || end <= start || end > state.Length || (start | end) % Unit != 0)
            {
                return null;
            }

            state._unreadable.Add((start, end));
            last = end;
        }

        return state.TryReadZones(ref reader) && !reader.IsBroken ? state : null;
    }

    /// <summary>Whether a namespace that there is can be this one.</summary>
    public bool Fits(NvmeNamespace ns)
        => ns.Generation == Generation
            && ns.Backend.Length == Length
            && ns.Backend is MemoryBackend == IsMemory
            && ns.Metadata is not null == HasMetadata
            && ns.Metadata is MemoryBackend == IsMetadataMemory
            && (ns.Zones?.Size ?? 0) == ZoneSize
            && (ns.Zones?.Capacity ?? 0) == ZoneCapacity;

    /// <summary>Makes a namespace what this one was, except for what it holds.</summary>
    public void Apply(NvmeNamespace ns)
    {
        ns.EndFormat(Format);
        ns.IsWriteProtected = IsWriteProtected;
        ns.Unreadable.Clear();
        foreach ((ulong start, ulong end) in _unreadable)
        {
            ns.Unreadable.Mark(start, end - start, unreadable: true);
        }

        ns.Zones?.Restore(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_zones));
    }

    /// <summary>Writes what is in memory, but zeros.</summary>
    public static void SaveContent(DeviceStateWriter writer, INvmeBackend? backend)
    {
        if (backend is not MemoryBackend)
        {
            return;
        }

        byte[] piece = new byte[PieceLength];
        for (ulong offset = 0; offset < backend.Length; offset += PieceLength)
        {
            Span<byte> bytes = piece.AsSpan(0, (int)Math.Min(PieceLength, backend.Length - offset));
            if (backend.Read(offset, bytes) == Errno.None && bytes.ContainsAnyExcept((byte)0))
            {
                writer.WriteUInt64(offset);
                writer.WriteUInt32((uint)bytes.Length);
                writer.WriteBytes(bytes);
            }
        }

        writer.WriteUInt64(EndOfPieces);
    }

    /// <summary>Looks at what <see cref="SaveContent"/> wrote, and puts it into memory if there is some.</summary>
    /// <param name="reader">The state.</param>
    /// <param name="length">Bytes that there may be.</param>
    /// <param name="backend">The memory; null to look only.</param>
    /// <returns>Why it is refused.</returns>
    public static Errno TryRestoreContent(ref DeviceStateReader reader, ulong length, INvmeBackend? backend)
    {
        Errno error = backend?.Clear(0, length) ?? Errno.None;
        while (error == Errno.None)
        {
            ulong offset = reader.ReadUInt64();
            if (offset == EndOfPieces || reader.IsBroken)
            {
                break;
            }

            ReadOnlySpan<byte> bytes = reader.ReadBytes(reader.ReadUInt32());
            if (bytes.IsEmpty || offset > length || (ulong)bytes.Length > length - offset)
            {
                return Errno.EINVAL;
            }

            error = backend?.Write(offset, bytes) ?? Errno.None;
        }

        return reader.IsBroken ? Errno.EINVAL : error;
    }
}
