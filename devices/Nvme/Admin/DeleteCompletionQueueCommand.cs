namespace Vfio.Devices.Nvme;

/// <summary>Delete I/O Completion Queue (NVMe Base 2.0 §5.6): only after the submission queues that post to it.</summary>
internal static class DeleteCompletionQueueCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        uint id = request.Command.Dword10 & 0xFFFF;
        if (id == 0 || request.Controller.FindCompletions(id) is not { } queue)
        {
            return request.Refuse(NvmeStatus.InvalidQueueId, location: 40);
        }

        return request.Controller.TryRemoveCompletions(queue) ? NvmeStatus.Success : request.Refuse(NvmeStatus.InvalidQueueDeletion, location: 40);
    }
}
