using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Doorbells in the host's memory (Doorbell Buffer Config, NVMe Base 2.0 §5.8): the host writes indices there, and a doorbell register only when
/// its index passes the one that the controller has put into the other buffer (EventIdx). Both are laid out like the registers.
/// </summary>
/// <remarks>
/// The memory is the host's, which may unmap it at any time: then everything answers false, and the controller goes back to the registers. Used
/// by whoever holds the turn of the queue whose lane is given.
/// </remarks>
internal sealed class ShadowDoorbells(ulong doorbells, ulong events)
{
    /// <summary>Where the host's indices are.</summary>
    public ulong Doorbells => doorbells;

    /// <summary>Where the controller's requests are.</summary>
    public ulong Requests => events;

    /// <summary>Reads the tail of a submission queue or the head of a completion queue.</summary>
    /// <returns>False when the memory cannot be reached.</returns>
    public bool TryRead(HostLane host, int queue, bool isHead, out uint value)
    {
        value = 0;
        ulong iova = doorbells + Offset(queue, isHead);
        Errno error = host.TryOpenWindow(iova, sizeof(uint), DmaAccess.Read, out DmaWindow window);
        if (error == Errno.None)
        {
            value = Volatile.Read(ref MemoryMarshal.AsRef<uint>(window.Span));
            window.Dispose();
            host.End();
            return true;
        }

        return error == Errno.EOPNOTSUPP && host.Read(iova, MemoryMarshal.AsBytes(new Span<uint>(ref value))) == Errno.None;
    }

    /// <summary>Writes a doorbell and asks for the next, as it is when a queue is made.</summary>
    public bool TryReset(HostLane host, int queue, bool isHead, uint value)
        => TryWrite(host, doorbells + Offset(queue, isHead), value) && TryWrite(host, events + Offset(queue, isHead), value);

    /// <summary>
    /// Asks for a doorbell register when the index passes a value. The host's index has to be read again afterwards: it may have passed before
    /// the request was seen. The barrier between the two is here, as the host has one between its index and its look at the request.
    /// </summary>
    public bool TryAsk(HostLane host, int queue, bool isHead, uint value)
    {
        bool written = TryWrite(host, events + Offset(queue, isHead), value);
        Interlocked.MemoryBarrier();
        return written;
    }

    private static ulong Offset(int queue, bool isHead) => (ulong)((queue * DoorbellBlock.Stride) + (isHead ? 4 : 0));

    private static bool TryWrite(HostLane host, ulong iova, uint value)
    {
        Errno error = host.TryOpenWindow(iova, sizeof(uint), DmaAccess.Write, out DmaWindow window);
        if (error == Errno.None)
        {
            Volatile.Write(ref MemoryMarshal.AsRef<uint>(window.Span), value);
            window.Dispose();
            host.End();
            return true;
        }

        return error == Errno.EOPNOTSUPP && host.Write(iova, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in value))) == Errno.None;
    }
}
