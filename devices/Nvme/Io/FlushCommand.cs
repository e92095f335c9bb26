using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Flush (NVMe Base 2.0 §7.1), of one namespace or of all.</summary>
internal static class FlushCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        if (request.Command.NamespaceId == AllNamespaces)
        {
            return request.Controller.TryFlushAll() ? NvmeStatus.Success : NvmeStatus.WriteFault;
        }

        NvmeStatus status = BlockRange.TryFind(request, out NvmeNamespace? ns, out _);
        return status != NvmeStatus.Success ? status : ns!.Flush().ToWriteStatus();
    }
}
