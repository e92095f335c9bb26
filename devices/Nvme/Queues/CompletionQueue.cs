using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>
/// A completion queue (NVMe Base 2.0 §3.3.1). Several submission queues may post to one: slots are reserved before commands run, so that a
/// host which does not take its completions stops its submissions and nothing else.
/// </summary>
/// <remarks>
/// <see cref="_lock"/> orders the posters and is held around the write of one entry. The host's doorbell does not take it. It is the
/// innermost lock of the device.
/// </remarks>
internal sealed class CompletionQueue(NvmeController controller, int id, uint size, ulong address, int vector, bool interrupts)
{
    /// <summary>Bytes of an entry: CC.IOCQES is 4.</summary>
    public const int EntryLength = 16;

    private readonly Lock _lock = new();
    private uint _tail;
    private uint _reserved;
    private uint _head;
    private uint _told;
    private int _starved;
    private bool _phase = true;
    private volatile bool _closed;

    public int Id => id;

    public uint Size => size;

    public int Vector => vector;

    /// <summary>Whether completions interrupt (CDW11.IEN).</summary>
    public bool Interrupts => interrupts;

    /// <summary>How many submission queues post here. Guarded by the device's state lock.</summary>
    public int Users { get; set; }

    /// <summary>What was last seen in the doorbell in memory: the shared one, or the host's. Guarded by <see cref="HeadTurn"/>, or the poller's.</summary>
    public uint SeenHead { get; set; }

    /// <summary>Held by whoever takes over the head from a doorbell in the host's memory.</summary>
    public Lock HeadTurn { get; } = new();

    /// <summary>Index behind the last completion that the host has taken.</summary>
    public uint Head => Volatile.Read(ref _head);

    /// <summary>Completions since the last interrupt.</summary>
    public uint SilentCount => Distance(Volatile.Read(ref _told), Volatile.Read(ref _tail));

    /// <summary>There is an interrupt for everything that was posted before.</summary>
    public void Tell() => Volatile.Write(ref _told, Volatile.Read(ref _tail));

    /// <summary>Whether entries wait for the host: the level of a pin.</summary>
    public bool HasEntries => Volatile.Read(ref _head) != Volatile.Read(ref _tail);

    /// <summary>Makes a queue as another was that was saved. It belongs to nobody yet.</summary>
    /// <param name="controller">Whose it is.</param>
    /// <param name="reader">The state.</param>
    /// <returns>Null when it is none.</returns>
    public static CompletionQueue? TryRestore(NvmeController controller, ref DeviceStateReader reader)
    {
        int id = reader.ReadUInt16();
        uint size = reader.ReadUInt32();
        ulong address = reader.ReadUInt64();
        int vector = reader.ReadUInt16();
        bool interrupts = reader.ReadBoolean();
        var queue = new CompletionQueue(controller, id, size, address, vector, interrupts)
        {
            _tail = reader.ReadUInt32(),
            _head = reader.ReadUInt32(),
            _phase = reader.ReadBoolean(),
            SeenHead = reader.ReadUInt32(),
        };
        queue.Tell();
        return !reader.IsBroken && controller.IsQueueSize(id, size) && vector < controller.Vectors && queue._tail < size && queue._head < size ? queue : null;
    }

    /// <summary>Writes what <see cref="TryRestore"/> takes. Nothing posts meanwhile.</summary>
    public void Save(DeviceStateWriter writer)
    {
        writer.WriteUInt16((ushort)id);
        writer.WriteUInt32(size);
        writer.WriteUInt64(address);
        writer.WriteUInt16((ushort)vector);
        writer.WriteBoolean(interrupts);
        writer.WriteUInt32(_tail);
        writer.WriteUInt32(_head);
        writer.WriteBoolean(_phase);
        writer.WriteUInt32(SeenHead);
    }

    /// <summary>Posts nothing any more; does not wait for a post under way.</summary>
    public void Close()
    {
        _closed = true;
        Volatile.Write(ref _starved, 0);
    }

    /// <summary>Takes slots for up to a number of completions.</summary>
    /// <returns>How many; with 0 the caller waits: for the host to take completions, or for slots that others have reserved and do not use.</returns>
    public int Reserve(int wanted)
    {
        int granted = TryReserve(wanted);
        if (granted == 0)
        {
            // Room may come between the look and the mark: look again behind the mark.
            Interlocked.Exchange(ref _starved, 1);
            granted = TryReserve(wanted);
        }

        return granted;
    }

    /// <summary>Gives back slots that were not used; see <see cref="NvmeController.Release"/>.</summary>
    /// <returns>Whether somebody waits for room, who is to be told.</returns>
    public bool Release(int count)
    {
        if (count == 0)
        {
            return false;
        }

        lock (_lock)
        {
            _reserved -= (uint)count;

            // Under the lock: who has marked itself before sees the slots, or is seen here.
            return Volatile.Read(ref _starved) != 0 && Interlocked.Exchange(ref _starved, 0) != 0;
        }
    }

    /// <summary>Writes a completion into a reserved slot.</summary>
    /// <returns>What the memory answered; the slot is used in any case.</returns>
    public Errno Post(CompletionEntry entry) => Post(new ReadOnlySpan<CompletionEntry>(in entry));

    /// <summary>Writes completions into reserved slots, one behind the other.</summary>
    /// <returns>What the memory answered; the slots are used in any case.</returns>
    public Errno Post(ReadOnlySpan<CompletionEntry> entries)
    {
        if (entries.IsEmpty)
        {
            return Errno.None;
        }

        lock (_lock)
        {
            _reserved -= (uint)entries.Length;
            if (_closed)
            {
                return Errno.None;
            }

            if (!controller.IsBusMaster)
            {
                return Errno.EPERM;
            }

            Errno error = Errno.None;
            while (!entries.IsEmpty && error == Errno.None)
            {
                // Up to the end of the ring, where the phase changes.
                int count = (int)Math.Min((uint)entries.Length, size - _tail);
                ulong place = address + ((ulong)_tail * EntryLength);
                bool phase = _phase;
                uint next = _tail + (uint)count == size ? 0 : _tail + (uint)count;
                _phase ^= next == 0;

                // Before the entries: a host that sees one may ring at once, and its doorbell is compared with this.
                Volatile.Write(ref _tail, next);
                error = Write(place, entries[..count], phase);
                entries = entries[count..];
            }

            return error;
        }
    }

    /// <summary>Waits for a post under way, whose memory the host is about to take back.</summary>
    /// <returns>False after the time-out.</returns>
    public bool AwaitPost(TimeSpan limit)
    {
        if (!_lock.TryEnter(limit))
        {
            return false;
        }

        _lock.Exit();
        return true;
    }

    /// <summary>The host has taken completions. Called by one thread at a time: with the device's state lock held, or by the poller.</summary>
    /// <param name="head">What it wrote.</param>
    /// <param name="wasStarved">Whether submissions wait for room.</param>
    /// <returns>False for a value outside of what was posted.</returns>
    public bool MoveHead(uint head, out bool wasStarved)
    {
        wasStarved = false;
        uint old = _head;
        if (head >= size || Distance(old, head) > Distance(old, Volatile.Read(ref _tail)))
        {
            return false;
        }

        // Behind the barrier: who has marked itself before it is seen here, who does so after it sees the room.
        Interlocked.Exchange(ref _head, head);
        wasStarved = Volatile.Read(ref _starved) != 0 && Interlocked.Exchange(ref _starved, 0) != 0;
        return true;
    }

    private uint Distance(uint from, uint to) => to >= from ? to - from : to + size - from;

    private int TryReserve(int wanted)
    {
        lock (_lock)
        {
            uint free = size - 1 - Distance(Volatile.Read(ref _head), _tail) - _reserved;
            int granted = (int)Math.Min(free, (uint)wanted);
            _reserved += (uint)granted;
            return granted;
        }
    }

    /// <summary>Both halves of an entry are written once, the one with the phase last.</summary>
    private Errno Write(ulong iova, ReadOnlySpan<CompletionEntry> entries, bool phase)
    {
        DmaSpace dma = controller.Dma;
        Errno error = dma.TryOpenWindow(iova, entries.Length * EntryLength, DmaAccess.Write, out DmaWindow window);
        if (error == Errno.None)
        {
            Span<ulong> places = MemoryMarshal.Cast<byte, ulong>(window.Span);
            for (int i = 0; i < entries.Length; i++)
            {
                Volatile.Write(ref places[2 * i], entries[i].Low);
                Volatile.Write(ref places[(2 * i) + 1], entries[i].HighWith(phase));
            }

            window.Dispose();
            return error;
        }

        if (error != Errno.EOPNOTSUPP)
        {
            return error;
        }

        if (entries.Length == 1)
        {
            return dma.Write(iova, MemoryMarshal.AsBytes((ReadOnlySpan<ulong>)[entries[0].Low, entries[0].HighWith(phase)]));
        }

        // They lie in more than one mapping, or all in memory that can only be copied to.
        error = Errno.None;
        for (int i = 0; i < entries.Length && error == Errno.None; i++)
        {
            error = Write(iova + ((ulong)i * EntryLength), entries.Slice(i, 1), phase);
        }

        return error;
    }
}
