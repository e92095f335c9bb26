namespace Vfio.Devices.Nvme;

/// <summary>The NVM command set (NVM Command Set 1.0 §3), and what zones add to it (ZNS Command Set 1.1 §3): which class executes which opcode. Fused pairs are for <see cref="FusedCommands"/>.</summary>
internal static class IoCommands
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        if (command.DataPointerKind == 3)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 1, bit: 6);
        }

        return (IoOpcode)command.Opcode switch
        {
            IoOpcode.Flush => FlushCommand.Execute(request),
            IoOpcode.Write => WriteCommand.Execute(request),
            IoOpcode.Read => ReadCommand.Execute(request),
            IoOpcode.WriteUncorrectable => WriteUncorrectableCommand.Execute(request),
            IoOpcode.Compare => CompareCommand.Execute(request),
            IoOpcode.WriteZeroes => WriteZeroesCommand.Execute(request),
            IoOpcode.DatasetManagement => DatasetManagementCommand.Execute(request),
            IoOpcode.Verify => VerifyCommand.Execute(request),
            IoOpcode.Copy => CopyCommand.Execute(request),
            IoOpcode.ZoneManagementSend => ZoneManagementSendCommand.Execute(request),
            IoOpcode.ZoneManagementReceive => ZoneManagementReceiveCommand.Execute(request),
            IoOpcode.ZoneAppend => ZoneAppendCommand.Execute(request),
            _ => request.Refuse(NvmeStatus.InvalidOpcode, location: 0),
        };
    }
}
