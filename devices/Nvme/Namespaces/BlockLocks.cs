namespace Vfio.Devices.Nvme;

/// <summary>
/// Makes a block whole: who reads it while another writes it sees it as before or as after (AWUN: one block, NVM Command Set 1.0 §2.1.4). A lock
/// for each of the regions, which share a few locks. Only where several queues run at a time.
/// </summary>
/// <remarks>Held around one backend call of at most a region, never around a transfer that may wait for the host.</remarks>
internal sealed class BlockLocks
{
    /// <summary>Logarithm of the bytes of a region. No block lies in two.</summary>
    public const int RegionShift = 16;

    private const int Count = 64;
    private const int FineShift = 12;
    private const int FineCount = 1024;
    private readonly Lock[] _locks;
    private readonly int _shift;

    /// <param name="isFine">Whether parts of a region have locks of their own: for backends that wait, where neighbours are read and written at a time.</param>
    public BlockLocks(bool isFine = false)
    {
        _shift = isFine ? FineShift : RegionShift;
        _locks = new Lock[isFine ? FineCount : Count];
        for (int i = 0; i < _locks.Length; i++)
        {
            _locks[i] = new Lock();
        }
    }

    /// <summary>Bytes from an offset to the end of its region.</summary>
    public static int LeftInRegion(ulong offset) => (1 << RegionShift) - (int)(offset & ((1UL << RegionShift) - 1));

    /// <summary>Whether a range lies in one region.</summary>
    public static bool IsInRegion(ulong offset, ulong length) => length <= (ulong)LeftInRegion(offset);

    /// <summary>Takes the locks of a range inside one region: by their number upwards, as a region's have neighbouring ones.</summary>
    public void Enter(ulong offset, int length)
    {
        ulong last = (offset + (ulong)length - 1) >> _shift;
        for (ulong part = offset >> _shift; part <= last; part++)
        {
            At(part).Enter();
        }
    }

    public void Exit(ulong offset, int length)
    {
        ulong last = (offset + (ulong)length - 1) >> _shift;
        for (ulong part = offset >> _shift; part <= last; part++)
        {
            At(part).Exit();
        }
    }

    /// <summary>Takes all locks, for a range of any length.</summary>
    public void EnterAll()
    {
        foreach (Lock region in _locks)
        {
            region.Enter();
        }
    }

    public void ExitAll()
    {
        foreach (Lock region in _locks)
        {
            region.Exit();
        }
    }

    private Lock At(ulong part) => _locks[(int)part & (_locks.Length - 1)];
}
