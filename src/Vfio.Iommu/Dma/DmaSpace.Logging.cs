using System.Runtime.CompilerServices;

namespace Vfio.Iommu;

/// <content>Logging of what the device writes, by copies, windows and leases alike.</content>
public sealed partial class DmaSpace
{
    /// <summary>Bytes of the pages that the log tells apart.</summary>
    public const ulong LogPageSize = 1UL << DmaWriteLog.PageShift;

    /// <summary>Guards the leases for writing, and encloses nothing.</summary>
    private readonly Lock _leaseLock = new();
    private readonly HashSet<DmaPin> _writeLeases = [];
    private volatile DmaWriteLog? _log;

    /// <summary>Whether writes are logged.</summary>
    public bool IsLogging => _log is not null;

    /// <summary>Begins to log which pages the device writes. On return every later write is logged, and one that is under way.</summary>
    /// <returns>False when it is logged already.</returns>
    /// <remarks>Any thread. A log costs about a bit for each page of 2 MiB that is written somewhere.</remarks>
    public bool StartLog()
    {
        lock (_leaseLock)
        {
            if (_log is not null)
            {
                return false;
            }

            _log = new DmaWriteLog();
        }

        // Who has looked before has its data in memory behind this; who writes now looks afterwards.
        Interlocked.MemoryBarrierProcessWide();
        return true;
    }

    /// <summary>Ends the log.</summary>
    /// <returns>False when there is none.</returns>
    public bool StopLog()
    {
        lock (_leaseLock)
        {
            bool wasLogging = _log is not null;
            _log = null;
            return wasLogging;
        }
    }

    /// <summary>Tells and forgets the pages of a range that were written since the log began, or was last asked.</summary>
    /// <param name="range">The range.</param>
    /// <param name="report">Gets runs of pages, in no order. Pages that are leased for writing are told each time.</param>
    /// <returns>False when nothing is logged.</returns>
    /// <remarks>Any thread. A page that is written meanwhile is told now or the next time.</remarks>
    public bool TakeLog(IovaRange range, Action<IovaRange> report)
    {
        ArgumentNullException.ThrowIfNull(report);
        DmaPin[] leases;
        lock (_leaseLock)
        {
            leases = _log is null ? [] : [.. _writeLeases];
        }

        if (_log is not { } log)
        {
            return false;
        }

        log.TakeMarked(range, report);
        foreach (DmaPin lease in leases)
        {
            if (lease.Range.Overlaps(range))
            {
                report(lease.Range);
            }
        }

        return true;
    }

    /// <summary>Something was written, or begun to be.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Log(ulong iova, int length)
    {
        if (_log is { } log)
        {
            Mark(log, iova, length);
        }
    }

    /// <summary>A lease for writing has ended; its memory is still there.</summary>
    internal void EndLease(DmaPin lease)
    {
        lock (_leaseLock)
        {
            _writeLeases.Remove(lease);
        }

        _log?.Mark(lease.Range);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Mark(DmaWriteLog log, ulong iova, int length)
    {
        if (IovaRange.TryCreate(iova, (ulong)length, out IovaRange range))
        {
            log.Mark(range);
        }
    }

    private void BeginLease(DmaPin lease)
    {
        lease.BelongTo(this);
        lock (_leaseLock)
        {
            _writeLeases.Add(lease);
        }
    }
}
