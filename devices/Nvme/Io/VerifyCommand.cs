namespace Vfio.Devices.Nvme;

/// <summary>Verify (NVM Command Set 1.0 §3.2.5): reads the blocks, checks their protection information, and transfers nothing.</summary>
internal static class VerifyCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        // VSL is as large as MDTS.
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        // There is nobody that information could be kept from.
        if (range.Format.Protection != 0 && new ProtectionTags(request.Command).IsMadeHere)
        {
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 51, bit: 5);
        }

        status = range.CheckReadable(request);
        for (uint index = 0, count; status == NvmeStatus.Success && index != range.Count && !request.Queue.IsClosed; index += count)
        {
            count = BlockTransfer.CountInRegion(range, index);
            Span<byte> data = request.Bounce[..((int)count << range.Format.BlockShift)];
            Span<byte> tuples = request.Tuples[..((int)count * range.Format.MetadataLength)];
            status = BlockTransfer.ReadBlocks(range.Namespace, range.Format, range.First + index, data, tuples);
            status = status == NvmeStatus.Success ? BlockTransfer.Check(request, range, data, tuples, index) : status;
        }

        request.Statistics.CountVerified(range.Length);
        return status;
    }
}
