namespace Vfio.Devices.Nvme;

/// <summary>Zone Append (ZNS Command Set 1.1 §3.4.1): writes behind what is written of a zone, and tells where that was.</summary>
internal static class ZoneAppendCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = ZonedNamespace.TryFind(request, out NvmeNamespace? ns, out _, out ZoneTable zones);
        BlockRange range = default;
        status = status == NvmeStatus.Success ? BlockRange.TryCreate(request, transfers: true, out range) : status;
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (!zones.IsStart(range.Offset))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        if (ns!.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        ns.Writers.Enter();
        status = Append(request, range, zones);
        ns.Writers.Exit();
        return status;
    }

    private static NvmeStatus Append(NvmeRequest request, in BlockRange range, ZoneTable zones)
    {
        NvmeStatus status = zones.BeginAppend(range.Offset, (ulong)range.Length, out ulong offset);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        ulong first = offset >> range.Format.BlockShift;
        request.ErrorBlock = first;
        status = WriteCommand.WriteInPlace(request, new BlockRange(range.Namespace, range.Format, first, range.Count));
        if (status == NvmeStatus.Success)
        {
            request.Result = (uint)first;
            request.Result1 = (uint)(first >> 32);
        }

        return status;
    }
}
