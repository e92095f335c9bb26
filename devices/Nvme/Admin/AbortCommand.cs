using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Abort (NVMe Base 2.0 §5.1). Commands are executed as they are fetched, so that only requests for asynchronous events can be aborted;
/// for all others the answer is that they were not.
/// </summary>
internal static class AbortCommand
{
    private const uint NotAborted = 1;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        uint queue = request.Command.Dword10 & 0xFFFF;
        ushort commandId = (ushort)(request.Command.Dword10 >> 16);
        request.Result = NotAborted;
        if (queue != 0 && request.Controller.FindSubmissions(queue) is null)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        CompletionQueue completions = request.Queue.Completions;
        if (queue == 0 && completions.Reserve(1) == 1)
        {
            if (request.Controller.Events.TryRemove(commandId))
            {
                request.Result = 0;
                if (completions.Post(0, 0, (ushort)request.Queue.Head, 0, commandId, NvmeStatus.AbortRequested) != Errno.None)
                {
                    request.Controller.Fail("a completion queue cannot be written");
                }
            }
            else
            {
                completions.Release(1);
            }
        }

        return NvmeStatus.Success;
    }
}
