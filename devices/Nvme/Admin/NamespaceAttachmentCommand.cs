using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>Namespace Attachment (NVMe Base 2.0 §5.22): shows namespaces to controllers, of which there is one.</summary>
internal static class NamespaceAttachmentCommand
{
    /// <summary>Identify.CNTLID.</summary>
    public const ushort ControllerId = 1;

    private const uint Attach = 0;
    private const uint Detach = 1;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeController controller = request.Controller;
        uint select = request.Command.Dword10 & 15;
        if (select > Detach)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        if (controller.FindAllocated(request.Command.NamespaceId) is not { } ns)
        {
            return request.RefuseNamespace();
        }

        Span<byte> list = request.Page;
        NvmeStatus status = request.ReadFromHost(list);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        // Identifiers ascend, so that a list of one controller has one.
        int count = BinaryPrimitives.ReadUInt16LittleEndian(list);
        if (count != 1 || BinaryPrimitives.ReadUInt16LittleEndian(list[2..]) != ControllerId)
        {
            return request.Refuse(NvmeStatus.ControllerListInvalid, location: 24);
        }

        if (select == Attach)
        {
            return controller.TryAttach(ns) ? NvmeStatus.Success : request.Refuse(NvmeStatus.NamespaceAlreadyAttached, location: 4);
        }

        if (!controller.TryDetach(ns.Id, out _))
        {
            return request.Refuse(NvmeStatus.NamespaceNotAttached, location: 4);
        }

        // Commands under way end before the host hears that the namespace is detached.
        controller.AwaitQueues();
        return NvmeStatus.Success;
    }
}
