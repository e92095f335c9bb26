using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>A submission queue (NVMe Base 2.0 §3.3.1): where the host's commands are taken from.</summary>
/// <remarks>
/// Whoever runs the queue holds <see cref="Turn"/>, around DMA and backend calls too; no register handler takes it, so that the host can
/// always be answered. Lock order: <see cref="Turn"/>, then the device's state lock, then that of a completion queue.
/// </remarks>
internal sealed class SubmissionQueue(int id, uint size, ulong address, int priority, CompletionQueue completions, NvmeRequest request, QueueLanes lanes)
{
    /// <summary>Completions of a cache line: when each is written alone, the line goes back and forth between the processors as often.</summary>
    private const int MostGathered = 4;

    /// <summary>Commands of so many blocks take less time than it takes the host to see their completion.</summary>
    private const int ShortBlocks = 16;

    /// <summary>So many long batches, one after another, are long because of what is in them.</summary>
    private const int ManyLong = 3;

    /// <summary>Guards which commands of the batch are aborted, and encloses nothing. Only used where commands may wait.</summary>
    private readonly Lock _abortLock = new();
    private readonly CompletionEntry[] _gathered = new CompletionEntry[MostGathered];
    private readonly bool[] _isAborted = new bool[NvmeController.BatchLength];
    private int _next;
    private int _fetched;
    private int _gatheredCount;
    private int _longBatches;
    private uint _tail;
    private volatile bool _closed;

    /// <summary>Held by whoever runs the queue.</summary>
    public Lock Turn { get; } = new();

    public int Id => id;

    public uint Size => size;

    /// <summary>0 urgent to 3 low; only looked at with weighted round robin.</summary>
    public int Priority => priority;

    public CompletionQueue Completions => completions;

    /// <summary>The command that is being executed, with its buffers.</summary>
    public NvmeRequest Request => request;

    /// <summary>Execute commands that wait for storage.</summary>
    public QueueLanes Lanes => lanes;

    /// <summary>Index of the next entry to fetch. Guarded by <see cref="Turn"/>.</summary>
    public uint Head { get; private set; }

    /// <summary>The queue was deleted or the controller stopped: nothing of it may reach the host any more.</summary>
    public bool IsClosed => _closed;

    /// <summary>
    /// Whether the last batches took so long that the next is not for a thread that answers the host. One alone may have been interrupted by the system, and to hand the
    /// next over would take as long again: the thread that answers looks for messages on the processor that the other needs.
    /// </summary>
    public bool TakesLong => Volatile.Read(ref _longBatches) >= ManyLong;

    /// <summary>A batch has been executed. The turn is held.</summary>
    /// <param name="isLong">Whether it took longer than a thread that answers the host may be kept.</param>
    public void NoteBatch(bool isLong) => Volatile.Write(ref _longBatches, isLong ? Math.Min(_longBatches + 1, ManyLong) : 0);

    /// <summary>What was last seen in the doorbell in memory: the shared one, or the host's. Guarded by <see cref="Turn"/>, or the poller's.</summary>
    public uint SeenTail { get; set; }

    /// <summary>Whether completions are posted some at a time. Guarded by <see cref="Turn"/>.</summary>
    public bool Gathers { get; set; }

    /// <summary>The first command of a fused pair waits for the second. Guarded by <see cref="Turn"/>.</summary>
    public bool HasFirstOfPair { get; set; }

    /// <summary>The first command of a fused pair.</summary>
    public NvmeCommand FirstOfPair { get; set; }

    /// <summary>What was done for the host.</summary>
    public IoStatistics Statistics { get; } = new();

    /// <summary>Takes the place in the ring, and half a pair, of a queue that was saved.</summary>
    /// <returns>False when the state is none. A slot for the completion of half a pair is reserved.</returns>
    public bool TryRestore(ref DeviceStateReader reader)
    {
        Head = reader.ReadUInt32();
        _tail = reader.ReadUInt32();
        SeenTail = reader.ReadUInt32();
        HasFirstOfPair = reader.ReadBoolean();
        if (HasFirstOfPair && reader.ReadBytes(NvmeCommand.Length) is { IsEmpty: false } command)
        {
            FirstOfPair = MemoryMarshal.Read<NvmeCommand>(command);
        }

        return !reader.IsBroken && Head < size && _tail < size && (!HasFirstOfPair || (id != 0 && Completions.Reserve(1) == 1));
    }

    /// <summary>Writes identity and place. Nothing runs meanwhile: what was fetched is executed, what was not is the next to be.</summary>
    public void Save(DeviceStateWriter writer)
    {
        writer.WriteUInt16((ushort)id);
        writer.WriteUInt32(size);
        writer.WriteUInt64(address);
        writer.WriteByte((byte)priority);
        writer.WriteUInt16((ushort)Completions.Id);
        writer.WriteUInt32(Head);
        writer.WriteUInt32(Tail);
        writer.WriteUInt32(SeenTail);
        writer.WriteBoolean(HasFirstOfPair);
        if (HasFirstOfPair)
        {
            NvmeCommand command = FirstOfPair;
            writer.WriteBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<NvmeCommand>(in command)));
        }
    }

    /// <summary>Executes and posts nothing any more; does not wait.</summary>
    public void Close() => _closed = true;

    /// <summary>The host has submitted. Any thread.</summary>
    /// <returns>False for a value that is no index of the queue.</returns>
    public bool MoveTail(uint tail)
    {
        if (tail >= size)
        {
            return false;
        }

        Volatile.Write(ref _tail, tail);
        return true;
    }

    /// <summary>Index behind the last command that the host has submitted.</summary>
    public uint Tail => Volatile.Read(ref _tail);

    /// <summary>Whether commands wait.</summary>
    public bool HasCommands => Volatile.Read(ref _tail) != Head;

    /// <summary>Commands that wait, up to the end of the ring.</summary>
    public int CommandCount
    {
        get
        {
            uint tail = Volatile.Read(ref _tail);
            return (int)(tail >= Head ? tail - Head : size - Head);
        }
    }

    /// <summary>Copies the next commands, without taking them.</summary>
    /// <param name="commands">Receives them.</param>
    /// <param name="count">How many there are, up to the length of <paramref name="commands"/> and the end of the ring.</param>
    /// <returns>What the memory answered.</returns>
    public Errno Peek(Span<NvmeCommand> commands, out int count)
    {
        count = Math.Min(CommandCount, commands.Length);
        return count == 0 ? Errno.None : request.Host.Read(address + ((ulong)Head * NvmeCommand.Length), MemoryMarshal.AsBytes(commands[..count]));
    }

    /// <summary>Commands that were fetched wait to be executed, and may be aborted until they are begun.</summary>
    public void BeginBatch(int count)
    {
        lock (_abortLock)
        {
            Array.Clear(_isAborted);
            _next = 0;
            _fetched = count;
        }
    }

    /// <summary>Commands were fetched earlier and found no lane.</summary>
    /// <param name="first">The place of the next in the batch.</param>
    /// <param name="end">The place behind the last.</param>
    /// <returns>False when there are none.</returns>
    public bool TryResume(out int first, out int end)
    {
        // Both are changed only by who holds the turn.
        first = _next;
        end = _fetched;
        return first != end;
    }

    /// <summary>The next command of the batch begins.</summary>
    /// <returns>False when it was aborted.</returns>
    public bool TryStart()
    {
        lock (_abortLock)
        {
            return !_isAborted[_next++];
        }
    }

    /// <summary>Aborts a command that was fetched and has not begun. Any thread.</summary>
    /// <returns>False when there is none with this identifier.</returns>
    public bool TryAbort(ushort commandId)
    {
        lock (_abortLock)
        {
            for (int i = _next; i < _fetched; i++)
            {
                if (request.Batch[i].CommandId == commandId && !_isAborted[i])
                {
                    _isAborted[i] = true;
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Keeps a completion for a moment.</summary>
    /// <returns>Whether those that were kept are to be posted now.</returns>
    public bool Gather(CompletionEntry entry, in NvmeCommand command)
    {
        _gathered[_gatheredCount++] = entry;
        return _gatheredCount == MostGathered
            || (IoOpcode)command.Opcode is not (IoOpcode.Read or IoOpcode.Write)
            || (command.Dword12 & 0xFFFF) >= ShortBlocks;
    }

    /// <summary>Gives what was kept. Valid until the next is.</summary>
    public ReadOnlySpan<CompletionEntry> TakeGathered()
    {
        int count = _gatheredCount;
        _gatheredCount = 0;
        return _gathered.AsSpan(0, count);
    }

    /// <summary>Takes the next command.</summary>
    public void Advance() => Head = Head + 1 == size ? 0 : Head + 1;
}
