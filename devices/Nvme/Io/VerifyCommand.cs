using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Verify (NVM Command Set 1.0 §3.2.5): reads the blocks and transfers nothing.</summary>
internal static class VerifyCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        // VSL is as large as MDTS.
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        ulong offset = range.Offset;
        for (long left = range.Length; status == NvmeStatus.Success && left != 0 && !request.Queue.IsClosed;)
        {
            Span<byte> piece = request.Bounce[..(int)Math.Min(left, NvmeRequest.BounceLength)];
            status = range.Namespace.Backend.Read(offset, piece) == Errno.None ? NvmeStatus.Success : NvmeStatus.UnrecoveredRead;
            offset += (ulong)piece.Length;
            left -= piece.Length;
        }

        request.Queue.Statistics.CountVerified(range.Length);
        return status;
    }
}
