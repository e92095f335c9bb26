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

        NvmeNamespace ns = range.Namespace;
        if (ns.Backend.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        ns.Writers.Enter();
        Errno error = ns.Backend.Clear(range.Offset, (ulong)range.Length);
        ns.Writers.Exit();
        return error == Errno.None ? WriteCommand.MakeDurable(request, ns) : NvmeStatus.WriteFault;
    }
}
