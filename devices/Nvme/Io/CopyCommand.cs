using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Copy (NVM Command Set 1.0 §3.2.2), with source ranges in format 0, the one for guards of 16 bits. All sources are read before the first block is
/// written, so that ranges may overlap.
/// </summary>
internal static class CopyCommand
{
    /// <summary>Bytes of data that a command copies at the most: MCL and MSSRL in the namespace's blocks.</summary>
    public const int MaxLength = 256 * 1024;

    /// <summary>MSRC + 1: source ranges of a command.</summary>
    public const int MaxRanges = 128;

    /// <summary>OCFS: format 0.</summary>
    public const ushort Formats = 1;

    private const int RangeLength = 32;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeStatus status = BlockRange.TryFind(request, out NvmeNamespace? ns, out BlockFormat? format);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (((command.Dword12 >> 8) & 15) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 49);
        }

        // PRACT has to be the same for what is read and what is written.
        if (format!.Protection != 0 && (((command.Dword12 >> 15) ^ (command.Dword12 >> 29)) & 1) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 49, bit: 7);
        }

        int count = (int)(command.Dword12 & 0xFF) + 1;
        if (count > MaxRanges)
        {
            return request.Refuse(NvmeStatus.CommandSizeLimitExceeded, location: 48);
        }

        Span<byte> ranges = request.Page.AsSpan(0, count * RangeLength);
        status = request.ReadFromHost(ranges);
        status = status == NvmeStatus.Success ? CheckRanges(request, ns!, format, ranges, out uint blocks, out BlockRange target) : Fail(status, out blocks, out target);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (ns!.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        ns.Writers.Enter();
        Span<byte> data = request.CopyBuffer[..(int)target.Length];
        Span<byte> tuples = request.CopyBuffer.Slice(MaxLength, (int)blocks * format.MetadataLength);
        status = ReadSources(request, ns, format, ranges, data, tuples);
        status = status == NvmeStatus.Success ? WriteTarget(request, target, data, tuples) : status;
        ns.Writers.Exit();
        return status == NvmeStatus.Success ? WriteCommand.MakeDurable(request, ns) : status;
    }

    private static NvmeStatus Fail(NvmeStatus status, out uint blocks, out BlockRange target)
    {
        blocks = 0;
        target = default;
        return status;
    }

    /// <summary>Looks at all ranges before anything is done.</summary>
    private static NvmeStatus CheckRanges(NvmeRequest request, NvmeNamespace ns, BlockFormat format, ReadOnlySpan<byte> ranges, out uint blocks, out BlockRange target)
    {
        ref readonly NvmeCommand command = ref request.Command;
        uint limit = (uint)(MaxLength >> format.BlockShift);
        blocks = 0;
        target = default;
        for (; !ranges.IsEmpty; ranges = ranges[RangeLength..])
        {
            BlockRange source = Source(ns, format, ranges);
            blocks += source.Count;
            if (source.Count > limit || blocks > limit)
            {
                return request.Refuse(NvmeStatus.CommandSizeLimitExceeded, location: 48);
            }

            request.ErrorBlock = source.First;
            if (source.First >= format.Blocks || source.Count > format.Blocks - source.First)
            {
                return request.Refuse(NvmeStatus.LbaOutOfRange, location: 24);
            }

            if (format.Protection != 0 && !SourceTags(command, ranges).AreValid(format, source.First))
            {
                return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 24);
            }
        }

        ulong first = command.Dword10 | ((ulong)command.Dword11 << 32);
        request.ErrorBlock = first;
        if (first >= format.Blocks || blocks > format.Blocks - first)
        {
            return request.Refuse(NvmeStatus.LbaOutOfRange, location: 40);
        }

        if (format.Protection != 0 && !new ProtectionTags(command).AreValid(format, first))
        {
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 56);
        }

        target = new BlockRange(ns, format, first, blocks);
        return NvmeStatus.Success;
    }

    private static NvmeStatus ReadSources(NvmeRequest request, NvmeNamespace ns, BlockFormat format, ReadOnlySpan<byte> ranges, Span<byte> data, Span<byte> tuples)
    {
        NvmeStatus status = NvmeStatus.Success;
        for (; status == NvmeStatus.Success && !ranges.IsEmpty; ranges = ranges[RangeLength..])
        {
            BlockRange source = Source(ns, format, ranges);
            ProtectionTags tags = SourceTags(request.Command, ranges);
            status = source.CheckReadable(request);
            for (uint index = 0, count; status == NvmeStatus.Success && index != source.Count; index += count)
            {
                count = BlockTransfer.CountInRegion(source, index);
                int length = (int)count << format.BlockShift;
                int metadata = (int)count * format.MetadataLength;
                status = BlockTransfer.ReadBlocks(ns, format, source.First + index, data[..length], tuples[..metadata]);
                status = status == NvmeStatus.Success ? BlockTransfer.Check(request, source, data[..length], tuples[..metadata], tags, index) : status;
                data = data[length..];
                tuples = tuples[metadata..];
            }
        }

        return status;
    }

    private static NvmeStatus WriteTarget(NvmeRequest request, in BlockRange target, ReadOnlySpan<byte> data, Span<byte> tuples)
    {
        BlockFormat format = target.Format;
        var tags = new ProtectionTags(request.Command);
        NvmeStatus status = NvmeStatus.Success;
        if (format.Protection != 0 && tags.IsMadeHere)
        {
            ProtectionInformation.Make(format, data, tuples, tags, index: 0);
        }
        else
        {
            status = BlockTransfer.Check(request, target, data, tuples, tags, index: 0);
        }

        status = status == NvmeStatus.Success ? target.BeginWrite() : status;
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        for (uint index = 0, count; status == NvmeStatus.Success && index != target.Count && !request.Queue.IsClosed; index += count)
        {
            count = BlockTransfer.CountInRegion(target, index);
            int length = (int)count << format.BlockShift;
            int metadata = (int)count * format.MetadataLength;
            status = BlockTransfer.WriteBlocks(target.Namespace, format, target.First + index, data[..length], tuples[..metadata]);
            data = data[length..];
            tuples = tuples[metadata..];
        }

        status = target.EndWrite(status);
        if (status == NvmeStatus.Success)
        {
            target.MakeReadable();
        }

        return status;
    }

    private static BlockRange Source(NvmeNamespace ns, BlockFormat format, ReadOnlySpan<byte> range)
        => new(ns, format, BinaryPrimitives.ReadUInt64LittleEndian(range[8..]), BinaryPrimitives.ReadUInt16LittleEndian(range[16..]) + 1U);

    /// <summary>PRINFOR and the tags of a source range.</summary>
    private static ProtectionTags SourceTags(in NvmeCommand command, ReadOnlySpan<byte> range) => new(
        (int)(command.Dword12 >> 12) & 15,
        BinaryPrimitives.ReadUInt32LittleEndian(range[24..]),
        BinaryPrimitives.ReadUInt16LittleEndian(range[28..]),
        BinaryPrimitives.ReadUInt16LittleEndian(range[30..]));
}
