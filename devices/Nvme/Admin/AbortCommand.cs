using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Abort (NVMe Base 2.0 §5.1): requests for asynchronous events, and I/O commands that were fetched and wait behind one that takes long. For one
/// that is being executed, or not fetched yet, the answer is that it was not aborted.
/// </summary>
internal static class AbortCommand
{
    private const uint NotAborted = 1;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        uint queue = request.Command.Dword10 & 0xFFFF;
        ushort commandId = (ushort)(request.Command.Dword10 >> 16);
        request.Result = NotAborted;
        SubmissionQueue? submissions = request.Controller.FindSubmissions(queue);
        if (queue != 0 && submissions is null)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        if (queue != 0)
        {
            request.Result = submissions!.TryAbort(commandId) ? 0 : NotAborted;
            return NvmeStatus.Success;
        }

        CompletionQueue completions = request.Queue.Completions;
        if (completions.Reserve(1) == 1)
        {
            if (request.Controller.Events.TryRemove(commandId))
            {
                request.Result = 0;
                if (completions.Post(new CompletionEntry(0, 0, request.Queue.Head, 0, commandId, NvmeStatus.AbortRequested)) != Errno.None)
                {
                    request.Controller.Fail("a completion queue cannot be written");
                }
            }
            else
            {
                request.Controller.Release(completions, 1);
            }
        }

        return NvmeStatus.Success;
    }
}
