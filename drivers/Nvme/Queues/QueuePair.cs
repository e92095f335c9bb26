using System.Numerics;

namespace Vfio.Drivers.Nvme;

/// <summary>
/// A submission queue and its completion queue (Base 2.0 §3.3): requests wait here in order, become commands as slots are free, and end
/// with their completions. Nothing is allocated once the pool of requests has grown to what the callers have under way at once.
/// </summary>
/// <remarks>
/// <para>
/// Lock order: <c>_lock</c> is a leaf. Neither the device nor a continuation is called under it: doorbells are rung by whichever thread
/// comes first, on behalf of those that come meanwhile, and completions are taken by one thread at a time in the same way.
/// </para>
/// <para>
/// The device's word is not trusted: at most as many completions are taken at a time as the ring has entries; one counts only with the
/// identifier of a command in flight, this use's generation included, and this queue's number. The submission queue head that the device
/// reports is not needed: there are fewer slots than entries, so that the ring cannot overflow.
/// </para>
/// </remarks>
internal sealed partial class QueuePair : IDisposable
{
    private readonly IQueueOwner _owner;
    private readonly Doorbells _doorbells;
    private readonly QueueMemory _memory;
    private readonly Lock _lock = new();
    private readonly CommandSlot[] _slots;
    private readonly int[] _free;
    private readonly int _slotBits;
    private readonly int _pageShift;
    private int _freeCount;
    private NvmeRequest? _pool;
    private NvmeRequest? _firstPending;
    private NvmeRequest? _lastPending;
    private RequestFailure _closed;
    private bool _frozen;

    /// <summary>Makes a queue pair; the controller is told of it by <see cref="IQueueOwner"/>.</summary>
    /// <param name="owner">The controller.</param>
    /// <param name="connection">Where memory comes from.</param>
    /// <param name="doorbells">The controller's doorbells.</param>
    /// <param name="id">The queue identifier; 0 is the admin queue.</param>
    /// <param name="depth">Entries of each ring, 2 to 4096.</param>
    /// <param name="listEntries">Entries of the longest PRP list.</param>
    /// <param name="pageShift">The controller's memory page.</param>
    public QueuePair(IQueueOwner owner, VfioConnection connection, Doorbells doorbells, ushort id, int depth, int listEntries, int pageShift)
    {
        _owner = owner;
        _doorbells = doorbells;
        _pageShift = pageShift;
        Id = id;
        Depth = depth;

        // One entry stays empty, which tells a full ring from an empty one.
        _slots = new CommandSlot[depth - 1];
        _free = new int[depth - 1];
        _slotBits = BitOperations.Log2((uint)depth - 1) + 1;
        _memory = new QueueMemory(connection, depth, _slots.Length, listEntries, pageShift);
        for (int i = 0; i < _free.Length; i++)
        {
            // The lowest first: what was used last is in the processor's cache.
            _free[_freeCount++] = _free.Length - 1 - i;
        }
    }

    public ushort Id { get; }

    public int Depth { get; }

    /// <summary>The interrupt vector, or null for a queue that is polled.</summary>
    public ushort? Vector { get; set; }

    /// <summary>Whether transfers of more than two pages are described by SGLs, and with <see cref="AlwaysSgl"/> all.</summary>
    public bool UsesSgl { get; set; }

    public bool AlwaysSgl { get; set; }

    public ulong SubmissionIova => _memory.SubmissionIova;

    public ulong CompletionIova => _memory.CompletionIova;

    public string Address => _owner.Address;

    public string? FailureReason => _owner.FailureReason;

    /// <summary>Commands in flight.</summary>
    public int InFlight => _slots.Length - Volatile.Read(ref _freeCount);

    /// <summary>Whether nothing is in flight or waiting.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
            {
                return _freeCount == _slots.Length && _firstPending is null;
            }
        }
    }

    /// <summary>Takes a request out of the pool, or makes one. Awaiting its result gives it back.</summary>
    public NvmeRequest Rent()
    {
        lock (_lock)
        {
            if (_pool is { } request)
            {
                _pool = request.Next;
                request.Next = null;
                return request;
            }
        }

        return new NvmeRequest(this);
    }

    public void Return(NvmeRequest request)
    {
        lock (_lock)
        {
            request.Next = _pool;
            _pool = request;
        }
    }

    /// <summary>Frees the memory. The device must not use it any more, and <see cref="Close"/> was called.</summary>
    public void Dispose() => _memory.Dispose();

    private ushort CommandId(int slot) => (ushort)((_slots[slot].Generation << _slotBits) | slot);

    private NvmeRequest Release(int slot)
    {
        ref CommandSlot released = ref _slots[slot];
        NvmeRequest request = released.Request!;
        released.Request = null;
        released.Generation++;
        _free[_freeCount++] = slot;
        request.Outstanding--;
        return request;
    }
}
