using System.Runtime.CompilerServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>
/// The way of one queue's commands to the host's memory. It is cut when the queue is closed (a reset) or the host takes bus mastering away; who
/// cuts it then waits for what is on it (<see cref="NvmeController.AwaitTransfers"/>), so that nothing arrives afterwards.
/// </summary>
/// <remarks>
/// Used by whoever holds the queue's turn. Beginning costs two plain stores: the one who cuts has the barrier for both
/// (<see cref="Interlocked.MemoryBarrierProcessWide"/>).
/// </remarks>
internal sealed class HostLane(NvmeController controller)
{
    private int _busy;

    /// <summary>The queue whose commands go this way; null before its first.</summary>
    public SubmissionQueue? Queue { get; set; }

    /// <summary>Whether a transfer is under way.</summary>
    public bool IsBusy => Volatile.Read(ref _busy) != 0;

    /// <summary>Copies from the host.</summary>
    /// <returns>As <see cref="DmaSpace.Read(ulong, Span{byte})"/>; <see cref="Errno.EINTR"/> when the way is cut.</returns>
    public Errno Read(ulong iova, Span<byte> destination)
    {
        if (!TryBegin())
        {
            return Errno.EINTR;
        }

        Errno error = controller.Dma.Read(iova, destination);
        End();
        return error;
    }

    /// <summary>Copies to the host.</summary>
    /// <returns>As <see cref="DmaSpace.Write(ulong, ReadOnlySpan{byte})"/>; <see cref="Errno.EINTR"/> when the way is cut.</returns>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source)
    {
        if (!TryBegin())
        {
            return Errno.EINTR;
        }

        Errno error = controller.Dma.Write(iova, source);
        End();
        return error;
    }

    /// <summary>Opens a window on the host's memory, for a copy and nothing that waits. Whoever has closed it says <see cref="End"/>.</summary>
    /// <returns>As <see cref="DmaSpace.TryOpenWindow"/>; <see cref="Errno.EINTR"/> when the way is cut.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
    {
        if (!TryBegin())
        {
            window = default;
            return Errno.EINTR;
        }

        Errno error = controller.Dma.TryOpenWindow(iova, length, access, out window);
        if (error != Errno.None)
        {
            End();
        }

        return error;
    }

    /// <summary>The transfer has ended.</summary>
    public void End() => Volatile.Write(ref _busy, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryBegin()
    {
        Volatile.Write(ref _busy, 1);
        if (controller.IsBusMaster && Queue is { IsClosed: false })
        {
            return true;
        }

        End();
        return false;
    }
}
