using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>Read (NVM Command Set 1.0 §3.2.4).</summary>
internal static class ReadCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        status = request.Data.Begin(request.Command, range.Length, request.Controller.PageSize);
        bool mayWait = range.Namespace.Backend.MayWait;
        ulong offset = range.Offset;
        long left = range.Length;
        while (status == NvmeStatus.Success && left != 0)
        {
            int limit = (int)Math.Min(left, mayWait ? NvmeRequest.BounceLength : int.MaxValue);
            status = request.Data.Next(limit, out ulong iova, out int length, out bool isBucket);
            if (status == NvmeStatus.Success)
            {
                status = isBucket ? status : Transfer(request, range.Namespace.Backend, offset, iova, length);
                offset += (ulong)length;
                left -= length;
            }
        }

        request.Queue.Statistics.CountRead(range.Length - left);
        return status;
    }

    /// <summary>From the backend into the host's memory itself where that may be, else by way of a buffer.</summary>
    private static NvmeStatus Transfer(NvmeRequest request, INvmeBackend backend, ulong offset, ulong iova, int length)
    {
        if (request.Queue.IsClosed)
        {
            return NvmeStatus.AbortedQueueDeleted;
        }

        if (!backend.MayWait && request.Dma.TryOpenWindow(iova, length, DmaAccess.Write, out DmaWindow window) == Errno.None)
        {
            using (window)
            {
                return backend.Read(offset, window.Span) == Errno.None ? NvmeStatus.Success : NvmeStatus.UnrecoveredRead;
            }
        }

        while (length != 0)
        {
            Span<byte> piece = request.Bounce[..Math.Min(length, NvmeRequest.BounceLength)];
            if (backend.Read(offset, piece) != Errno.None)
            {
                return NvmeStatus.UnrecoveredRead;
            }

            if (request.Queue.IsClosed || request.Dma.Write(iova, piece) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            offset += (ulong)piece.Length;
            iova += (ulong)piece.Length;
            length -= piece.Length;
        }

        return NvmeStatus.Success;
    }
}
