using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>Namespace Management (NVMe Base 2.0 §5.23): makes namespaces in memory, and deletes any.</summary>
internal static class NamespaceManagementCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;

        // CSI: the NVM command set.
        if ((command.Dword11 >> 24) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 47);
        }

        return (command.Dword10 & 15) switch
        {
            0 => Create(request),
            1 => Delete(request),
            _ => request.Refuse(NvmeStatus.InvalidField, location: 40),
        };
    }

    /// <summary>The data is an Identify Namespace structure, of which the host fills what it chooses.</summary>
    private static NvmeStatus Create(NvmeRequest request)
    {
        if (request.Command.NamespaceId != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 4);
        }

        Span<byte> page = request.Page;
        NvmeStatus status = request.ReadFromHost(page);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(page);
        ulong capacity = BinaryPrimitives.ReadUInt64LittleEndian(page[8..]);
        int index = page[26] & 15 | ((page[26] & 0x60) >> 1);
        byte protection = page[29];
        if (size == 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 24);
        }

        if (capacity != size)
        {
            return request.Refuse(NvmeStatus.ThinProvisioningNotSupported, location: 24);
        }

        // NMIC: there is no other controller to share a namespace with.
        if (page[30] != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 24);
        }

        if (index >= BlockFormat.SupportedCount(hasMetadata: true))
        {
            return request.Refuse(NvmeStatus.InvalidFormat, location: 24);
        }

        int shift = BlockFormat.Shift(index);
        if (size > (ulong)long.MaxValue >> shift)
        {
            return request.Refuse(NvmeStatus.InsufficientCapacity, location: 24);
        }

        ulong length = size << shift;
        if (BlockFormat.TryCreate(index, (page[26] & 0x10) != 0, protection & 7, (protection & 8) != 0, length, hasMetadata: true) is not { } format)
        {
            return request.Refuse(NvmeStatus.InvalidFormat, location: 24);
        }

        status = request.Controller.TryCreate(format, length, out uint id);
        request.Result = status == NvmeStatus.Success ? id : 0;
        return status;
    }

    private static NvmeStatus Delete(NvmeRequest request)
    {
        NvmeController controller = request.Controller;
        uint id = request.Command.NamespaceId;
        if (id == AllNamespaces)
        {
            for (uint each = 1; each <= NvmeController.MaxNamespaces; each++)
            {
                if (controller.FindAllocated(each) is { } ns)
                {
                    _ = controller.TryDelete(ns);
                }
            }

            return NvmeStatus.Success;
        }

        return controller.FindAllocated(id) is { } found && controller.TryDelete(found) ? NvmeStatus.Success : request.RefuseNamespace();
    }
}
