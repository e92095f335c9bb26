namespace Vfio.Devices.Nvme;

/// <summary>Zone Management Send (ZNS Command Set 1.1 §3.4.3): opens, closes, finishes, resets one zone or all, or takes a worn one offline.</summary>
internal static class ZoneManagementSendCommand
{
    private const uint SelectsAll = 1 << 8;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = ZonedNamespace.TryFind(request, out NvmeNamespace? ns, out BlockFormat? format, out ZoneTable zones);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        // There are no zone descriptor extensions and no random write areas, for which there would be further actions.
        uint fields = request.Command.Dword13;
        var action = (ZoneAction)(byte)fields;
        if (!Enum.IsDefined(action))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 52);
        }

        bool isAll = (fields & SelectsAll) != 0;
        ulong offset = 0;
        if (!isAll)
        {
            status = ZonedNamespace.TryReadBlock(request, format!, out offset);
            if (status == NvmeStatus.Success && !zones.IsStart(offset))
            {
                status = request.Refuse(NvmeStatus.InvalidField, location: 40);
            }

            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        if (ns!.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        status = action == ZoneAction.Reset ? Reset(request, ns, format!, zones, isAll, zones.IndexOf(offset))
            : isAll ? zones.ActOnAll(action)
            : zones.Act(zones.IndexOf(offset), action);
        return status == NvmeStatus.Success && !request.Controller.Features.WriteCacheEnabled ? ns.Flush().ToWriteStatus() : status;
    }

    /// <summary>The blocks go first: a zone that is empty reads as zeros, whatever ends the program.</summary>
    private static NvmeStatus Reset(NvmeRequest request, NvmeNamespace ns, BlockFormat format, ZoneTable zones, bool isAll, int index)
    {
        NvmeStatus status = NvmeStatus.Success;
        ns.Writers.EnterAlone();
        for (int i = isAll ? 0 : index, end = isAll ? zones.Count : index + 1; i < end && status == NvmeStatus.Success && !request.Queue.IsClosed; i++)
        {
            // All of the zone: writes that failed may have left something behind the write pointer.
            bool isForAll = ZoneTable.IsForAll(zones.Look(i, out _), ZoneAction.Reset);
            if (isForAll)
            {
                status = ns.Clear(format, zones.StartOf(i) >> format.BlockShift, zones.Capacity >> format.BlockShift).ToWriteStatus();
            }

            if (status == NvmeStatus.Success && (isForAll || !isAll))
            {
                status = zones.Act(i, ZoneAction.Reset);
            }
        }

        ns.Writers.ExitAlone();
        return status;
    }
}
