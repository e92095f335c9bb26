using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>The zones of a namespace: how far each is written, and its state (ZNS Command Set 1.1 §2.1.1). Offsets and lengths are in bytes.</summary>
/// <remarks>
/// <para>
/// A write takes its place, which moves the write pointer, before its data is moved, so that writes of several queues to one zone go on at a time; when the last
/// one fails, it gives the place back. Who resets zones is alone in the namespace (<see cref="WriterGate"/>).
/// </para>
/// <para>Any thread. The lock is a leaf; the records are written under one of their own, which encloses it.</para>
/// </remarks>
internal sealed class ZoneTable : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Lock _recordLock = new();
    private readonly Zone[] _zones;
    private readonly int _shift;
    private readonly int _maxOpen;
    private readonly int _maxActive;

    /// <summary>Zones that a write has opened, the oldest first; only where there is a limit.</summary>
    private readonly List<int> _implicitlyOpened;

    private int _open;
    private int _active;

    /// <param name="options">How the namespace is divided.</param>
    /// <param name="length">Bytes of the namespace.</param>
    /// <param name="records">Keeps how far the zones are written; null for memory. Owned.</param>
    /// <exception cref="IOException">The records are those of other zones, or none.</exception>
    public ZoneTable(NvmeZoneOptions options, ulong length, INvmeBackend? records)
    {
        Size = options.Size;
        Capacity = options.Capacity == 0 ? options.Size : options.Capacity;
        _shift = System.Numerics.BitOperations.Log2(Size);
        _maxOpen = options.MaxOpen;
        _maxActive = options.MaxActive;
        _zones = new Zone[length >> _shift];
        _implicitlyOpened = new List<int>(Math.Min(_maxOpen, _zones.Length));
        Array.Fill(_zones, new Zone { State = ZoneState.Empty });
        if (records is not null)
        {
            Records = new ZoneRecords(records, Size, Capacity, _zones.Length, out byte[] loaded);
            Load(loaded);
        }
    }

    /// <summary>Keeps how far the zones are written; null for memory.</summary>
    public ZoneRecords? Records { get; }

    public int Count => _zones.Length;

    /// <summary>Bytes from the start of a zone to that of the next.</summary>
    public ulong Size { get; }

    /// <summary>Bytes of a zone that can be written.</summary>
    public ulong Capacity { get; }

    /// <summary>MOR: the most open zones, less one; all ones for no limit.</summary>
    public uint MaxOpenResources => unchecked((uint)(_maxOpen - 1));

    /// <summary>MAR: the most active zones, less one; all ones for no limit.</summary>
    public uint MaxActiveResources => unchecked((uint)(_maxActive - 1));

    /// <summary>The zone that a byte lies in.</summary>
    public int IndexOf(ulong offset) => (int)(offset >> _shift);

    public ulong StartOf(int index) => (ulong)index << _shift;

    public bool IsStart(ulong offset) => (offset & (Size - 1)) == 0;

    /// <summary>What a zone is like now.</summary>
    /// <param name="index">Which.</param>
    /// <param name="written">Bytes from its start to its write pointer; all for a full one.</param>
    public ZoneState Look(int index, out ulong written)
    {
        lock (_lock)
        {
            ref Zone zone = ref _zones[index];
            written = zone.Written;
            return zone.State;
        }
    }

    /// <summary>Whether blocks can be read: over the boundaries of zones (OZCS.RAZB), but not behind the capacity of one, nor in one that is offline.</summary>
    public NvmeStatus CheckReadable(ulong offset, ulong length)
    {
        for (ulong end = offset + length; offset != end;)
        {
            int index = IndexOf(offset);
            ulong start = StartOf(index);
            ulong next = Math.Min(end, start + Size);
            if (Look(index, out _) == ZoneState.Offline)
            {
                return NvmeStatus.ZoneIsOffline;
            }

            if (next - start > Capacity)
            {
                return NvmeStatus.ZoneBoundaryError;
            }

            offset = next;
        }

        return NvmeStatus.Success;
    }

    /// <summary>Takes the place of a write, which is to begin at the write pointer. <see cref="EndWrite"/> must follow after success.</summary>
    public NvmeStatus BeginWrite(ulong offset, ulong length)
    {
        int index = IndexOf(offset);
        lock (_lock)
        {
            ref Zone zone = ref _zones[index];
            ulong inZone = offset - StartOf(index);
            NvmeStatus status = CheckWritable(zone, inZone, length);
            return status != NvmeStatus.Success ? status
                : inZone != zone.Written ? NvmeStatus.ZoneInvalidWrite
                : Extend(index, ref zone, length);
        }
    }

    /// <summary>Takes the place of a write behind what is written of a zone. <see cref="EndWrite"/> must follow after success.</summary>
    /// <param name="start">Start of the zone.</param>
    /// <param name="length">Length of the write.</param>
    /// <param name="offset">Where it is to be written.</param>
    public NvmeStatus BeginAppend(ulong start, ulong length, out ulong offset)
    {
        int index = IndexOf(start);
        lock (_lock)
        {
            ref Zone zone = ref _zones[index];
            offset = start + zone.Written;
            NvmeStatus status = CheckWritable(zone, zone.Written, length);
            return status != NvmeStatus.Success ? status : Extend(index, ref zone, length);
        }
    }

    /// <summary>A write has ended.</summary>
    /// <param name="offset">Where it was.</param>
    /// <param name="length">Its length.</param>
    /// <param name="status">What became of it.</param>
    /// <returns>The same; another when it succeeded and that cannot be recorded.</returns>
    public NvmeStatus EndWrite(ulong offset, ulong length, NvmeStatus status)
    {
        int index = IndexOf(offset);
        lock (_lock)
        {
            ref Zone zone = ref _zones[index];
            ulong inZone = offset - StartOf(index);
            if (status != NvmeStatus.Success && IsActive(zone.State) && zone.Written == inZone + length)
            {
                zone.Written = inZone;
            }

            if (zone.Written == Capacity && IsActive(zone.State))
            {
                Set(index, ref zone, ZoneState.Full);
            }
        }

        return status == NvmeStatus.Success ? Record(index) : status;
    }

    /// <summary>Does something to one zone. For a reset its blocks have been cleared, and the caller is alone in the namespace.</summary>
    public NvmeStatus Act(int index, ZoneAction action)
    {
        lock (_lock)
        {
            NvmeStatus status = Change(index, ref _zones[index], action);
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        return Record(index);
    }

    /// <summary>Does something to all zones that are in a state for it (Select All). For a reset all blocks have been cleared, and nothing else runs.</summary>
    public NvmeStatus ActOnAll(ZoneAction action)
    {
        NvmeStatus status = NvmeStatus.Success;
        lock (_lock)
        {
            // All or none.
            int closed = _active - _open;
            if (action == ZoneAction.Open && _maxOpen != 0 && _open + closed > _maxOpen)
            {
                return NvmeStatus.TooManyOpenZones;
            }
        }

        for (int i = 0; i < _zones.Length && status == NvmeStatus.Success; i++)
        {
            if (IsForAll(Look(i, out _), action))
            {
                status = Act(i, action);
            }
        }

        return status;
    }

    /// <summary>Whether Select All means a zone in a state.</summary>
    public static bool IsForAll(ZoneState state, ZoneAction action) => action switch
    {
        ZoneAction.Close => IsOpen(state),
        ZoneAction.Finish => IsActive(state),
        ZoneAction.Open => state == ZoneState.Closed,
        ZoneAction.Reset => IsActive(state) || state == ZoneState.Full,
        _ => state == ZoneState.ReadOnly,
    };

    /// <summary>A zone has worn out: it can be read only, or not even that. Nothing brings it back.</summary>
    public void WearOut(int index, bool isOffline)
    {
        lock (_lock)
        {
            Set(index, ref _zones[index], isOffline ? ZoneState.Offline : ZoneState.ReadOnly);
        }

        _ = Record(index);
    }

    /// <summary>Takes the states of another table with zones of this kind. Nothing runs.</summary>
    public void Restore(ReadOnlySpan<(int Index, ZoneState State, ulong Written)> zones)
    {
        lock (_lock)
        {
            for (int i = 0; i < _zones.Length; i++)
            {
                Set(i, ref _zones[i], ZoneState.Empty);
                _zones[i].Written = 0;
            }

            foreach ((int index, ZoneState state, ulong written) in zones)
            {
                Set(index, ref _zones[index], state);
                _zones[index].Written = written;
            }
        }
    }

    /// <summary>Whether a zone can be in a state when so much of it is written.</summary>
    public static bool IsPossible(ZoneState state, ulong written, ulong capacity) => written % 512 == 0 && written <= capacity && state switch
    {
        ZoneState.Empty => written == 0,
        ZoneState.ImplicitlyOpened or ZoneState.ExplicitlyOpened or ZoneState.Closed => written < capacity,
        ZoneState.Full => written == capacity,
        ZoneState.ReadOnly or ZoneState.Offline => true,
        _ => false,
    };

    public void Dispose() => Records?.Dispose();

    private static bool IsOpen(ZoneState state) => state is ZoneState.ImplicitlyOpened or ZoneState.ExplicitlyOpened;

    private static bool IsActive(ZoneState state) => IsOpen(state) || state == ZoneState.Closed;

    /// <summary>Whether a write has room. The lock is held.</summary>
    private NvmeStatus CheckWritable(in Zone zone, ulong inZone, ulong length) => zone.State switch
    {
        ZoneState.Full => NvmeStatus.ZoneIsFull,
        ZoneState.ReadOnly => NvmeStatus.ZoneIsReadOnly,
        ZoneState.Offline => NvmeStatus.ZoneIsOffline,
        _ when zone.Written == Capacity => NvmeStatus.ZoneIsFull,
        _ => inZone + length > Capacity ? NvmeStatus.ZoneBoundaryError : NvmeStatus.Success,
    };

    private NvmeStatus Extend(int index, ref Zone zone, ulong length)
    {
        NvmeStatus status = IsOpen(zone.State) ? NvmeStatus.Success : TryOpen(index, ref zone, ZoneState.ImplicitlyOpened);
        zone.Written += status == NvmeStatus.Success ? length : 0;
        return status;
    }

    /// <summary>The transitions of ZNS Command Set 1.1 §2.1.1.3. The lock is held.</summary>
    private NvmeStatus Change(int index, ref Zone zone, ZoneAction action)
    {
        switch (zone.State, action)
        {
            case (ZoneState.ReadOnly, ZoneAction.Offline) or (ZoneState.Offline, ZoneAction.Offline):
                Set(index, ref zone, ZoneState.Offline);
                return NvmeStatus.Success;
            case (ZoneState.ReadOnly or ZoneState.Offline, _) or (_, ZoneAction.Offline):
                return NvmeStatus.InvalidZoneStateTransition;
            case (ZoneState.Empty or ZoneState.Full, ZoneAction.Close) or (ZoneState.Full, ZoneAction.Open):
                return NvmeStatus.InvalidZoneStateTransition;
            case (_, ZoneAction.Close):
                Set(index, ref zone, ZoneState.Closed);
                return NvmeStatus.Success;
            case (_, ZoneAction.Finish):
                Set(index, ref zone, ZoneState.Full);
                zone.Written = Capacity;
                return NvmeStatus.Success;
            case (_, ZoneAction.Open):
                return TryOpen(index, ref zone, ZoneState.ExplicitlyOpened);
            default:
                Set(index, ref zone, ZoneState.Empty);
                zone.Written = 0;
                return NvmeStatus.Success;
        }
    }

    /// <summary>Opens a zone; another that only a write has opened is closed when there is no room else. The lock is held.</summary>
    private NvmeStatus TryOpen(int index, ref Zone zone, ZoneState state)
    {
        if (!IsActive(zone.State) && _maxActive != 0 && _active >= _maxActive)
        {
            return NvmeStatus.TooManyActiveZones;
        }

        if (!IsOpen(zone.State) && _maxOpen != 0 && _open >= _maxOpen)
        {
            if (_implicitlyOpened.Count == 0)
            {
                return NvmeStatus.TooManyOpenZones;
            }

            int oldest = _implicitlyOpened[0];
            Set(oldest, ref _zones[oldest], ZoneState.Closed);
        }

        Set(index, ref zone, state);
        return NvmeStatus.Success;
    }

    /// <summary>The lock is held.</summary>
    private void Set(int index, ref Zone zone, ZoneState state)
    {
        if (_maxOpen != 0 && zone.State != state)
        {
            if (zone.State == ZoneState.ImplicitlyOpened)
            {
                _implicitlyOpened.Remove(index);
            }
            else if (state == ZoneState.ImplicitlyOpened)
            {
                _implicitlyOpened.Add(index);
            }
        }

        _open += (IsOpen(state) ? 1 : 0) - (IsOpen(zone.State) ? 1 : 0);
        _active += (IsActive(state) ? 1 : 0) - (IsActive(zone.State) ? 1 : 0);
        zone.State = state;
    }

    /// <summary>Writes down what a zone is like: what it is when its turn comes, so that the last record is the newest.</summary>
    private NvmeStatus Record(int index)
    {
        if (Records is null)
        {
            return NvmeStatus.Success;
        }

        lock (_recordLock)
        {
            ZoneState state = Look(index, out ulong written);
            return Records.Write(index, state, written).ToWriteStatus();
        }
    }

    /// <summary>As after a power cycle: what was open is closed, or empty when nothing of it is written.</summary>
    private void Load(ReadOnlySpan<byte> loaded)
    {
        for (int i = 0; i < _zones.Length; i++)
        {
            ZoneState recorded = ZoneRecords.Read(loaded, i, out ulong written);
            ZoneState state = recorded != ZoneState.Empty ? recorded
                : written == 0 ? ZoneState.Empty
                : written == Capacity ? ZoneState.Full
                : ZoneState.Closed;
            if (recorded is not (ZoneState.Empty or ZoneState.ReadOnly or ZoneState.Offline) || !IsPossible(state, written, Capacity))
            {
                throw new IOException($"The zone records are damaged: of zone {i} they say that {written} bytes are written, of which {Capacity} can be, and that its condition is {(int)recorded}. The blocks are left as they are.");
            }

            Set(i, ref _zones[i], state);
            _zones[i].Written = written;
        }
    }

    [StructLayout(LayoutKind.Auto)]
    private struct Zone
    {
        public ulong Written;
        public ZoneState State;
    }
}
