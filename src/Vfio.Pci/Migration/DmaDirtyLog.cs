using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Pci;

/// <summary>Dirty page logging by the device's own way to memory, which sees every write.</summary>
internal sealed class DmaDirtyLog(DmaSpace dma) : IVfioDirtyLog
{
    /// <inheritdoc/>
    /// <remarks>Everything is logged, whatever the ranges: reports are asked for by range. Pages larger than the log's are put together in reports.</remarks>
    public Errno Start(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        if (!ulong.IsPow2(pageSize))
        {
            return Errno.EINVAL;
        }

        pageSize = Math.Max(pageSize, DmaSpace.LogPageSize);
        return dma.StartLog() ? Errno.None : Errno.EBUSY;
    }

    public Errno Stop() => dma.StopLog() ? Errno.None : Errno.EINVAL;

    public Errno ReadAndClear(IovaRange range, DirtyBitmap bitmap) => dma.TakeLog(range, bitmap.Set) ? Errno.None : Errno.EINVAL;
}
