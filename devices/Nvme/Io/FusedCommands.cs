namespace Vfio.Devices.Nvme;

/// <summary>
/// Fused operations (NVMe Base 2.0 §3.4.2, NVM Command Set 1.0 §2.1.4): Compare and Write, in neighbouring entries of a queue, with nothing
/// written to the namespace between them.
/// </summary>
internal static class FusedCommands
{
    private const int First = 1;
    private const int Second = 2;

    /// <summary>Executes a command that is of a pair, or that comes where the second of a pair should.</summary>
    /// <returns>Always: each command's slot is used, that of the first when the second has come.</returns>
    public static bool Execute(NvmeRequest request, in NvmeCommand command)
    {
        SubmissionQueue queue = request.Queue;
        NvmeController controller = request.Controller;
        if (queue.HasFirstOfPair)
        {
            queue.HasFirstOfPair = false;
            if (command.Fuse == Second)
            {
                ExecutePair(request, queue.FirstOfPair, command);
                return true;
            }

            request.Begin(queue.FirstOfPair);
            controller.Complete(request, request.Refuse(NvmeStatus.AbortedMissingFused, location: 1));
        }

        if (command.Fuse == First)
        {
            queue.FirstOfPair = command;
            queue.HasFirstOfPair = true;
            return true;
        }

        request.Begin(command);
        controller.Complete(request, command.Fuse switch
        {
            0 => IoCommands.Execute(request),
            Second => request.Refuse(NvmeStatus.AbortedMissingFused, location: 1),
            _ => request.Refuse(NvmeStatus.InvalidField, location: 1),
        });
        return true;
    }

    private static void ExecutePair(NvmeRequest request, in NvmeCommand first, in NvmeCommand second)
    {
        NvmeController controller = request.Controller;
        NvmeNamespace? ns = controller.FindNamespace(first.NamespaceId);
        ns?.Writers.EnterAlone();
        request.Begin(first);
        NvmeStatus status = Check(request, first, second);
        if (status == NvmeStatus.Success)
        {
            status = CompareCommand.Execute(request);
        }

        controller.Complete(request, status);
        request.Begin(second);
        if (status != NvmeStatus.Success)
        {
            status = NvmeStatus.AbortedFailedFused;
        }
        else
        {
            status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
            status = status == NvmeStatus.Success ? WriteCommand.Write(request, range) : status;
        }

        ns?.Writers.ExitAlone();
        controller.Complete(request, status);
    }

    /// <summary>The only pair is a compare and a write of the same blocks.</summary>
    private static NvmeStatus Check(NvmeRequest request, in NvmeCommand first, in NvmeCommand second)
    {
        if ((IoOpcode)first.Opcode != IoOpcode.Compare || (IoOpcode)second.Opcode != IoOpcode.Write)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 1);
        }

        if (first.DataPointerKind == 3 || second.DataPointerKind == 3)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 1, bit: 6);
        }

        if (first.NamespaceId != second.NamespaceId)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 4);
        }

        if (first.Dword10 != second.Dword10 || first.Dword11 != second.Dword11)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        return (first.Dword12 & 0xFFFF) == (second.Dword12 & 0xFFFF) ? NvmeStatus.Success : request.Refuse(NvmeStatus.InvalidField, location: 48);
    }
}
