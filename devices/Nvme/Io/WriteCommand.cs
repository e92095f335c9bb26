using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>Write (NVM Command Set 1.0 §3.2.6).</summary>
internal static class WriteCommand
{
    private const uint ForceUnitAccess = 1U << 30;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        range.Namespace.Writers.Enter();
        status = Write(request, range);
        range.Namespace.Writers.Exit();
        return status;
    }

    /// <summary>Writes the data of a command. The caller is in the namespace's gate.</summary>
    public static NvmeStatus Write(NvmeRequest request, in BlockRange range)
    {
        INvmeBackend backend = range.Namespace.Backend;
        if (backend.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        NvmeStatus status = request.Data.Begin(request.Command, range.Length, request.Controller.PageSize);
        ulong offset = range.Offset;
        long left = range.Length;
        while (status == NvmeStatus.Success && left != 0)
        {
            int limit = (int)Math.Min(left, backend.MayWait ? NvmeRequest.BounceLength : int.MaxValue);
            status = request.Data.Next(limit, out ulong iova, out int length, out bool isBucket);
            if (status == NvmeStatus.Success)
            {
                status = isBucket ? NvmeStatus.SglTypeInvalid : Transfer(request, backend, offset, iova, length);
                offset += (ulong)length;
                left -= length;
            }
        }

        request.Queue.Statistics.CountWrite(range.Length - left);
        return status == NvmeStatus.Success ? MakeDurable(request, range.Namespace) : status;
    }

    /// <summary>Flushes after a command that asks for it (FUA), and after each while the host has turned the cache off.</summary>
    public static NvmeStatus MakeDurable(NvmeRequest request, NvmeNamespace ns)
        => (request.Command.Dword12 & ForceUnitAccess) != 0 || !request.Controller.Features.WriteCacheEnabled ? FlushCommand.Flush(ns) : NvmeStatus.Success;

    /// <summary>From the host's memory itself into the backend where that may be, else by way of a buffer.</summary>
    private static NvmeStatus Transfer(NvmeRequest request, INvmeBackend backend, ulong offset, ulong iova, int length)
    {
        if (request.Queue.IsClosed)
        {
            return NvmeStatus.AbortedQueueDeleted;
        }

        if (!backend.MayWait && request.Dma.TryOpenWindow(iova, length, DmaAccess.Read, out DmaWindow window) == Errno.None)
        {
            using (window)
            {
                return backend.Write(offset, window.Span) == Errno.None ? NvmeStatus.Success : NvmeStatus.WriteFault;
            }
        }

        while (length != 0)
        {
            Span<byte> piece = request.Bounce[..Math.Min(length, NvmeRequest.BounceLength)];
            if (request.Dma.Read(iova, piece) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            if (backend.Write(offset, piece) != Errno.None)
            {
                return NvmeStatus.WriteFault;
            }

            offset += (ulong)piece.Length;
            iova += (ulong)piece.Length;
            length -= piece.Length;
        }

        return NvmeStatus.Success;
    }
}
