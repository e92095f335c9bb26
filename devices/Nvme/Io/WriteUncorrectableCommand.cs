namespace Vfio.Devices.Nvme;

/// <summary>Write Uncorrectable (NVM Command Set 1.0 §3.2.7): reads of the blocks fail with Unrecovered Read Error until they are written again.</summary>
internal static class WriteUncorrectableCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        // The command has no protection information: its fields are reserved.
        request.Command.Dword12 &= 0xFFFF;
        NvmeStatus status = BlockRange.TryCreate(request, transfers: false, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
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
            ns.Unreadable.Mark(range.Offset, (ulong)range.Length, unreadable: true);
            status = range.EndWrite(status);
        }

        ns.Writers.Exit();
        return status;
    }
}
