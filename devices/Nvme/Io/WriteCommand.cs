using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>Write (NVM Command Set 1.0 §3.2.6).</summary>
internal static class WriteCommand
{
    private const uint ForceUnitAccess = 1U << 30;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        range.Namespace.Writers.Enter();
        status = Write(request, range);
        range.Namespace.Writers.Exit();
        return status;
    }

    /// <summary>Writes the data of a command. The caller is in the namespace's gate.</summary>
    public static NvmeStatus Write(NvmeRequest request, in BlockRange range)
    {
        if (range.Namespace.IsReadOnly)
        {
            return NvmeStatus.NamespaceWriteProtected;
        }

        NvmeStatus status = range.BeginWrite();
        return status == NvmeStatus.Success ? WriteInPlace(request, range) : status;
    }

    /// <summary>Writes the data of a command to blocks whose place, where they are of a zone, is taken.</summary>
    public static NvmeStatus WriteInPlace(NvmeRequest request, in BlockRange range)
    {
        NvmeStatus status = BlockTransfer.Move(request, range, DmaAccess.Read, out long moved);
        request.Statistics.CountWrite(moved);
        status = range.EndWrite(status);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        range.MakeReadable();
        return MakeDurable(request, range.Namespace);
    }

    /// <summary>Flushes after a command that asks for it (FUA), and after each while the host has turned the cache off.</summary>
    public static NvmeStatus MakeDurable(NvmeRequest request, NvmeNamespace ns)
        => (request.Command.Dword12 & ForceUnitAccess) == 0 && request.Controller.Features.WriteCacheEnabled
            ? NvmeStatus.Success
            : ns.Flush().ToWriteStatus();
}
