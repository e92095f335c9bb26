namespace Vfio.Devices.Nvme;

/// <summary>Delete I/O Submission Queue (NVMe Base 2.0 §5.7). Its command under way ends first; those that wait are dropped with the queue.</summary>
internal static class DeleteSubmissionQueueCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        uint id = request.Command.Dword10 & 0xFFFF;
        if (id == 0 || request.Controller.FindSubmissions(id) is not { } queue)
        {
            return request.Refuse(NvmeStatus.InvalidQueueId, location: 40);
        }

        request.Controller.RemoveSubmissions(queue);
        return NvmeStatus.Success;
    }
}
