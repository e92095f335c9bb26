namespace Vfio.Devices.Nvme;

/// <summary>Create I/O Completion Queue (NVMe Base 2.0 §5.4).</summary>
internal static class CreateCompletionQueueCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeController controller = request.Controller;
        ref readonly NvmeCommand command = ref request.Command;
        uint id = command.Dword10 & 0xFFFF;
        uint size = (command.Dword10 >> 16) + 1;
        bool isContiguous = (command.Dword11 & 1) != 0;
        bool interrupts = (command.Dword11 & 2) != 0;
        uint vector = command.Dword11 >> 16;
        if (id == 0 || id > (uint)controller.Features.CompletionQueues || controller.FindCompletions(id) is not null)
        {
            return request.Refuse(NvmeStatus.InvalidQueueId, location: 40);
        }

        if (size < 2 || size > (uint)controller.Options.QueueEntries || controller.Registers.CompletionEntryShift != 4)
        {
            return request.Refuse(NvmeStatus.InvalidQueueSize, location: 42);
        }

        if (!isContiguous)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 44);
        }

        if (vector >= (uint)controller.Vectors)
        {
            return request.Refuse(NvmeStatus.InvalidInterruptVector, location: 46);
        }

        if ((command.Pointer1 & (controller.PageSize - 1)) != 0)
        {
            return request.Refuse(NvmeStatus.PrpOffsetInvalid, location: 24);
        }

        controller.AddCompletions(new CompletionQueue(controller, (int)id, size, command.Pointer1, (int)vector, interrupts));
        return NvmeStatus.Success;
    }
}
