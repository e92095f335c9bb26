namespace Vfio.Drivers.Nvme;

/// <summary>Commands in words, for messages.</summary>
internal static class NvmeCommandNames
{
    /// <summary>What a command is to do: "read from block 8 of namespace 1".</summary>
    public static string Describe(in SubmissionEntry command, bool isAdmin)
    {
        ulong block = command.Dword10 | ((ulong)command.Dword11 << 32);
        return isAdmin
            ? command.Opcode switch
            {
                AdminOpcode.DeleteSubmissionQueue => $"delete submission queue {command.Dword10 & 0xFFFF}",
                AdminOpcode.CreateSubmissionQueue => $"create submission queue {command.Dword10 & 0xFFFF}",
                AdminOpcode.GetLogPage => $"get log page {command.Dword10 & 0xFF:X2}h",
                AdminOpcode.DeleteCompletionQueue => $"delete completion queue {command.Dword10 & 0xFFFF}",
                AdminOpcode.CreateCompletionQueue => $"create completion queue {command.Dword10 & 0xFFFF}",
                AdminOpcode.Identify => $"identify structure {command.Dword10 & 0xFF:X2}h of namespace {command.NamespaceId}",
                AdminOpcode.Abort => $"abort command {command.Dword10 >> 16} of queue {command.Dword10 & 0xFFFF}",
                AdminOpcode.SetFeatures => $"set feature {command.Dword10 & 0xFF:X2}h",
                AdminOpcode.GetFeatures => $"get feature {command.Dword10 & 0xFF:X2}h",
                AdminOpcode.DoorbellBufferConfig => "set the doorbell buffers",
                _ => $"run admin command {command.Opcode:X2}h",
            }
            : command.Opcode switch
            {
                NvmOpcode.Flush => $"flush namespace {command.NamespaceId}",
                NvmOpcode.Write => $"write from block {block} of namespace {command.NamespaceId}",
                NvmOpcode.Read => $"read from block {block} of namespace {command.NamespaceId}",
                NvmOpcode.WriteZeroes => $"write zeroes from block {block} of namespace {command.NamespaceId}",
                NvmOpcode.DatasetManagement => $"deallocate blocks of namespace {command.NamespaceId}",
                _ => $"run command {command.Opcode:X2}h",
            };
    }
}
