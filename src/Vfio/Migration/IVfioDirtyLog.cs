using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>What a device does to tell which pages its DMA wrote (<c>vfio_log_ops</c>).</summary>
/// <remarks>The core keeps no logging state: a repeated start, and a stop or report without one, are for the device to judge.</remarks>
public interface IVfioDirtyLog
{
    /// <summary>Starts logging.</summary>
    /// <param name="ranges">The ranges to log, sorted and apart; none means everything.</param>
    /// <param name="pageSize">In: the unit wanted, in bytes. Out: the unit used.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    /// <remarks><c>log_start</c>.</remarks>
    Errno Start(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize);

    /// <summary>Stops logging.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    /// <remarks><c>log_stop</c>.</remarks>
    Errno Stop();

    /// <summary>Reports what was written in a range since the last report, and forgets it.</summary>
    /// <param name="range">The range.</param>
    /// <param name="bitmap">Receives the dirty ranges; bits are only ever set.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    /// <remarks><c>log_read_and_clear</c>.</remarks>
    Errno ReadAndClear(IovaRange range, DirtyBitmap bitmap);
}
