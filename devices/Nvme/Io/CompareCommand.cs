namespace Vfio.Devices.Nvme;

/// <summary>Compare (NVM Command Set 1.0 §3.2.1): data, and metadata that is not protection information; that is checked on both sides.</summary>
internal static class CompareCommand
{
    /// <summary>Bytes that are compared at a time: both sides are in the buffer.</summary>
    private const int PieceLength = NvmeRequest.BounceLength / 2;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (range.Format.Protection != 0 && new ProtectionTags(request.Command).IsMadeHere)
        {
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 51, bit: 5);
        }

        status = range.CheckReadable(request);
        return status == NvmeStatus.Success ? Compare(request, range) : status;
    }

    private static NvmeStatus Compare(NvmeRequest request, in BlockRange range)
    {
        BlockFormat format = range.Format;
        request.Statistics.CountRead(range.Length);
        NvmeStatus status = BlockTransfer.Begin(request, range, out bool hasMetadata);
        for (uint index = 0, count; status == NvmeStatus.Success && index != range.Count; index += count)
        {
            count = Math.Min(BlockTransfer.CountInRegion(range, index), (uint)(PieceLength >> format.BlockShift));
            int length = (int)count << format.BlockShift;
            int metadata = (int)count * format.MetadataLength;
            Span<byte> host = request.Bounce[..length];
            Span<byte> blocks = request.Bounce.Slice(PieceLength, length);
            Span<byte> hostTuples = request.Tuples[..metadata];
            Span<byte> tuples = request.Tuples.Slice(metadata, metadata);
            status = BlockTransfer.Gather(request, format, host, hostTuples, hasMetadata);
            status = status == NvmeStatus.Success ? BlockTransfer.ReadBlocks(range.Namespace, format, range.First + index, blocks, tuples) : status;
            status = status == NvmeStatus.Success ? BlockTransfer.Check(request, range, host, hostTuples, index) : status;
            status = status == NvmeStatus.Success ? BlockTransfer.Check(request, range, blocks, tuples, index) : status;
            if (status == NvmeStatus.Success && !(host.SequenceEqual(blocks) && (format.Protection != 0 || hostTuples.SequenceEqual(tuples))))
            {
                status = NvmeStatus.CompareFailure;
            }
        }

        return status;
    }
}
