using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Dataset Management (NVM Command Set 1.0 §3.2.3): deallocates ranges when asked to; the hints about use are for others.</summary>
internal static class DatasetManagementCommand
{
    private const int RangeLength = 16;
    private const uint Deallocate = 4;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeStatus status = BlockRange.TryFind(request, out NvmeNamespace? ns, out BlockFormat? format);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        int count = (int)(command.Dword10 & 0xFF) + 1;
        Span<byte> ranges = request.Page.AsSpan(0, count * RangeLength);
        status = request.ReadFromHost(ranges);
        if (status != NvmeStatus.Success || (command.Dword11 & Deallocate) == 0)
        {
            return status;
        }

        if (ns!.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        // All are looked at before anything is done.
        for (int i = 0; i < count; i++)
        {
            (ulong first, ulong blocks) = Range(ranges, i);
            if (first > format!.Blocks || blocks > format.Blocks - first)
            {
                request.ErrorBlock = first;
                return request.Refuse(NvmeStatus.LbaOutOfRange, location: 24);
            }
        }

        for (int i = 0; i < count && !request.Queue.IsClosed; i++)
        {
            (ulong first, ulong blocks) = Range(ranges, i);
            if (blocks != 0)
            {
                ns.Writers.Enter();
                Errno error = ns.Clear(format!, first, blocks);
                ns.Writers.Exit();
                if (error != Errno.None)
                {
                    return error.ToWriteStatus();
                }
            }
        }

        return NvmeStatus.Success;
    }

    private static (ulong First, ulong Blocks) Range(ReadOnlySpan<byte> ranges, int index)
    {
        ReadOnlySpan<byte> range = ranges.Slice(index * RangeLength, RangeLength);
        return (BinaryPrimitives.ReadUInt64LittleEndian(range[8..]), BinaryPrimitives.ReadUInt32LittleEndian(range[4..]));
    }
}
