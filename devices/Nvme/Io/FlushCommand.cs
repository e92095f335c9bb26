using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Flush (NVMe Base 2.0 §7.1), of one namespace or of all.</summary>
internal static class FlushCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        uint id = request.Command.NamespaceId;
        if (id == AllNamespaces)
        {
            return request.Controller.TryFlushAll() ? NvmeStatus.Success : NvmeStatus.WriteFault;
        }

        if (request.Controller.FindNamespace(id) is not { } ns)
        {
            return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
        }

        return Flush(ns);
    }

    /// <summary>Makes durable what was written to a namespace.</summary>
    public static NvmeStatus Flush(NvmeNamespace ns)
        => !ns.Backend.HasVolatileCache || ns.Backend.Flush() == Errno.None ? NvmeStatus.Success : NvmeStatus.WriteFault;
}
