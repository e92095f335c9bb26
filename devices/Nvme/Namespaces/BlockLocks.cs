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
    private readonly Lock[] _locks = new Lock[Count];

    public BlockLocks()
    {
        for (int i = 0; i < Count; i++)
        {
            _locks[i] = new Lock();
        }
    }

    /// <summary>Bytes from an offset to the end of its region.</summary>
    public static int LeftInRegion(ulong offset) => (1 << RegionShift) - (int)(offset & ((1UL << RegionShift) - 1));

    /// <summary>Whether a range lies in one region.</summary>
    public static bool IsInRegion(ulong offset, ulong length) => length <= (ulong)LeftInRegion(offset);

    /// <summary>The lock of the region that holds an offset.</summary>
    public Lock At(ulong offset) => _locks[(int)(offset >> RegionShift) % Count];

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
}
