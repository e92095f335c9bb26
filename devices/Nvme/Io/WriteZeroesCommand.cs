using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Write Zeroes (NVM Command Set 1.0 §3.2.8). Blocks that read as zeros need not be kept, with DEAC or without.</summary>
internal static class WriteZeroesCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: false, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        var tags = new ProtectionTags(request.Command);
        if (range.Format.Protection != 0 && tags.Checks)
        {
            // There is nothing that could be checked.
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 51, bit: 2);
        }

        NvmeNamespace ns = range.Namespace;
        if (ns.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        ns.Writers.Enter();
        status = range.BeginWrite();
        if (status == NvmeStatus.Success)
        {
            status = ns.Clear(range.Format, range.First, range.Count).ToWriteStatus();
            if (status == NvmeStatus.Success && range.Format.Protection != 0)
            {
                status = WriteProtection(request, range, tags);
            }

            status = range.EndWrite(status);
        }

        ns.Writers.Exit();
        return status == NvmeStatus.Success ? WriteCommand.MakeDurable(request, ns) : status;
    }

    /// <summary>Protection information of zeros: with PRACT that of the tags in the command, else zeros too.</summary>
    private static NvmeStatus WriteProtection(NvmeRequest request, in BlockRange range, in ProtectionTags tags)
    {
        NvmeStatus status = NvmeStatus.Success;
        for (uint index = 0, count; status == NvmeStatus.Success && index != range.Count && !request.Queue.IsClosed; index += count)
        {
            count = BlockTransfer.CountInRegion(range, index);
            Span<byte> data = request.Bounce[..((int)count << range.Format.BlockShift)];
            Span<byte> tuples = request.Tuples[..((int)count * range.Format.MetadataLength)];
            tuples.Clear();
            if (tags.IsMadeHere)
            {
                data.Clear();
                ProtectionInformation.Make(range.Format, data, tuples, tags, index);
            }

            ProtectionInformation.Turn(tuples);
            ulong offset = (range.First + index) * BlockFormat.TupleLength;
            status = range.Namespace.Metadata!.Write(offset, tuples).ToWriteStatus();
        }

        return status;
    }
}
