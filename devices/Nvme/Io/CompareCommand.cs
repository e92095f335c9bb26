using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Compare (NVM Command Set 1.0 §3.2.1).</summary>
internal static class CompareCommand
{
    /// <summary>Bytes that are compared at a time: both sides are in the buffer.</summary>
    private const int PieceLength = NvmeRequest.BounceLength / 2;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        return status == NvmeStatus.Success ? Compare(request, range) : status;
    }

    /// <summary>Compares the data of a command with the blocks.</summary>
    public static NvmeStatus Compare(NvmeRequest request, in BlockRange range)
    {
        request.Queue.Statistics.CountRead(range.Length);
        Span<byte> host = request.Bounce[..PieceLength];
        Span<byte> blocks = request.Bounce[PieceLength..];
        NvmeStatus status = request.Data.Begin(request.Command, range.Length, request.Controller.PageSize);
        ulong offset = range.Offset;
        long left = range.Length;
        while (status == NvmeStatus.Success && left != 0)
        {
            status = request.Data.Next((int)Math.Min(left, PieceLength), out ulong iova, out int length, out bool isBucket);
            if (status != NvmeStatus.Success)
            {
                break;
            }

            if (isBucket)
            {
                return NvmeStatus.SglTypeInvalid;
            }

            if (request.Queue.IsClosed || request.Dma.Read(iova, host[..length]) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            if (range.Namespace.Backend.Read(offset, blocks[..length]) != Errno.None)
            {
                return NvmeStatus.UnrecoveredRead;
            }

            if (!host[..length].SequenceEqual(blocks[..length]))
            {
                return NvmeStatus.CompareFailure;
            }

            offset += (ulong)length;
            left -= length;
        }

        return status;
    }
}
