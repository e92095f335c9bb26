using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A mapped range of an address space: which memory it shows, what the device may do there, and who is using it now.</summary>
/// <remarks>
/// Transfers enter and leave without a lock. <see cref="Close"/> stops new ones and waits for those inside, so that memory is never
/// touched after it was unmapped.
/// </remarks>
internal sealed class IovaArea
{
    private readonly ulong _sourceOffset;
    private int _transfers;
    private volatile bool _closed;

    public IovaArea(IovaRange range, MemorySource source, ulong sourceOffset, DmaAccess access)
    {
        Range = range;
        Source = source;
        Access = access;
        _sourceOffset = sourceOffset;
    }

    public IovaRange Range { get; }

    public MemorySource Source { get; }

    public DmaAccess Access { get; }

    /// <summary>Set while an unmap asks accesses to let go: new pins and transfers are refused. Written under the map's lock.</summary>
    public volatile bool PreventAccess;

    /// <summary>Number of pins on this area. Guarded by the map's lock.</summary>
    public int Pins;

    public ulong SourceOffset(ulong iova) => _sourceOffset + (iova - Range.Start);

    public bool TryEnter()
    {
        Interlocked.Increment(ref _transfers);
        if (!_closed)
        {
            return true;
        }

        Exit();
        return false;
    }

    public void Exit() => Interlocked.Decrement(ref _transfers);

    /// <summary>Refuses new transfers and waits until those inside have ended.</summary>
    public void Close()
    {
        _closed = true;
        Interlocked.MemoryBarrier();
        SpinWait spin = default;
        while (Volatile.Read(ref _transfers) != 0)
        {
            if (Source.HelpTransfers())
            {
                continue;
            }

            spin.SpinOnce();
        }
    }

    /// <summary>Checks a transfer against the area's rights.</summary>
    public Errno Check(DmaAccess wanted)
    {
        if (PreventAccess)
        {
            return Errno.EINVAL;
        }

        if ((Access & wanted) != wanted)
        {
            return Errno.EPERM;
        }

        return (wanted & DmaAccess.Write) != 0 && !Source.IsWritable ? Errno.EPERM : Errno.None;
    }
}
