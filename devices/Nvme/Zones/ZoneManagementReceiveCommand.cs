using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>Zone Management Receive (ZNS Command Set 1.1 §3.4.2): reports zones from one on, all or those in a state.</summary>
internal static class ZoneManagementReceiveCommand
{
    private const int HeadLength = 64;
    private const int DescriptorLength = 64;
    private const uint IsPartial = 1 << 16;

    /// <summary>The state that each value of ZRASF but 0, for all, asks for.</summary>
    private static ReadOnlySpan<ZoneState> States =>
    [
        0, ZoneState.Empty, ZoneState.ImplicitlyOpened, ZoneState.ExplicitlyOpened, ZoneState.Closed, ZoneState.Full, ZoneState.ReadOnly, ZoneState.Offline,
    ];

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = ZonedNamespace.TryFind(request, out _, out BlockFormat? format, out ZoneTable zones);
        ulong offset = 0;
        status = status == NvmeStatus.Success ? ZonedNamespace.TryReadBlock(request, format!, out offset) : status;
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        uint fields = request.Command.Dword13;
        long length = ((long)request.Command.Dword12 + 1) * sizeof(uint);
        int filter = (byte)(fields >> 8);

        // An extended report is for zone descriptor extensions, of which there are none.
        if ((byte)fields != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 52);
        }

        if (filter >= States.Length)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 53);
        }

        if (length is < HeadLength or > ControllerCapabilities.MaxTransfer)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 48);
        }

        status = request.Data.Begin(request.Command, length, request.Controller.PageSize);
        return status == NvmeStatus.Success ? Report(request, zones, format!, zones.IndexOf(offset), States[filter], (fields & IsPartial) != 0, length) : status;
    }

    /// <summary>Writes head and descriptors, a page at a time, and zeros behind them.</summary>
    private static NvmeStatus Report(NvmeRequest request, ZoneTable zones, BlockFormat format, int first, ZoneState wanted, bool isPartial, long length)
    {
        ulong room = (ulong)(length - HeadLength) / DescriptorLength;
        ulong count = 0;
        for (int i = first; i < zones.Count && !(isPartial && count == room); i++)
        {
            count += IsWanted(zones.Look(i, out _), wanted) ? 1UL : 0;
        }

        Span<byte> page = request.Page;
        page.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(page, count);
        int filled = HeadLength;
        ulong described = 0;
        for (int i = first; i < zones.Count && described < Math.Min(room, count); i++)
        {
            ZoneState state = zones.Look(i, out ulong written);
            if (!IsWanted(state, wanted))
            {
                continue;
            }

            Describe(page.Slice(filled, DescriptorLength), zones, format, i, state, written);
            described++;
            filled += DescriptorLength;
            if (filled == page.Length)
            {
                NvmeStatus status = request.Data.Write(page);
                if (status != NvmeStatus.Success)
                {
                    return status;
                }

                length -= filled;
                filled = 0;
                page.Clear();
            }
        }

        for (; length != 0; filled = 0)
        {
            int piece = (int)Math.Min(length, page.Length);
            NvmeStatus status = request.Data.Write(page[..piece]);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            length -= piece;
            page[..filled].Clear();
        }

        return NvmeStatus.Success;
    }

    private static bool IsWanted(ZoneState state, ZoneState wanted) => wanted == 0 || state == wanted;

    /// <summary>A zone descriptor (ZNS Command Set 1.1 §3.4.2.2.3).</summary>
    private static void Describe(Span<byte> descriptor, ZoneTable zones, BlockFormat format, int index, ZoneState state, ulong written)
    {
        const byte SequentialWriteRequired = 2;
        bool hasPointer = state is not (ZoneState.Full or ZoneState.ReadOnly or ZoneState.Offline);
        ulong start = zones.StartOf(index);
        descriptor[0] = SequentialWriteRequired;                                                                                                     // ZT
        descriptor[1] = (byte)((int)state << 4);                                                                                                     // ZS
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], zones.Capacity >> format.BlockShift);                                              // ZCAP
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[16..], start >> format.BlockShift);                                                      // ZSLBA
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[24..], hasPointer ? (start + written) >> format.BlockShift : ulong.MaxValue);            // WP
    }
}
