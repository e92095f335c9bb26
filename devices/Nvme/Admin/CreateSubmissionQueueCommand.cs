namespace Vfio.Devices.Nvme;

/// <summary>Create I/O Submission Queue (NVMe Base 2.0 §5.5).</summary>
internal static class CreateSubmissionQueueCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeController controller = request.Controller;
        ref readonly NvmeCommand command = ref request.Command;
        uint id = command.Dword10 & 0xFFFF;
        uint size = (command.Dword10 >> 16) + 1;
        bool isContiguous = (command.Dword11 & 1) != 0;
        int priority = (int)((command.Dword11 >> 1) & 3);
        uint completionId = command.Dword11 >> 16;
        if (id == 0 || id > (uint)controller.Features.SubmissionQueues || controller.FindSubmissions(id) is not null)
        {
            return request.Refuse(NvmeStatus.InvalidQueueId, location: 40);
        }

        if (size < 2 || size > (uint)controller.Options.QueueEntries || controller.Registers.SubmissionEntryShift != 6)
        {
            return request.Refuse(NvmeStatus.InvalidQueueSize, location: 42);
        }

        if (!isContiguous)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 44);
        }

        if (completionId == 0 || completionId > (uint)controller.Features.CompletionQueues)
        {
            return request.Refuse(NvmeStatus.InvalidQueueId, location: 46);
        }

        if (controller.FindCompletions(completionId) is not { } completions)
        {
            return request.Refuse(NvmeStatus.CompletionQueueInvalid, location: 46);
        }

        if ((command.Pointer1 & (controller.PageSize - 1)) != 0)
        {
            return request.Refuse(NvmeStatus.PrpOffsetInvalid, location: 24);
        }

        controller.AddSubmissions((int)id, size, command.Pointer1, priority, completions);
        return NvmeStatus.Success;
    }
}
