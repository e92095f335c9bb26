namespace Vfio.Devices.Nvme;

/// <summary>The admin command set (NVMe Base 2.0 §5): which class executes which opcode.</summary>
internal static class AdminCommands
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        if (command.Fuse != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 1);
        }

        // On PCIe the data of admin commands is described by PRPs (§4.1).
        if (command.DataPointerKind != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 1, bit: 6);
        }

        return (AdminOpcode)command.Opcode switch
        {
            AdminOpcode.DeleteSubmissionQueue => DeleteSubmissionQueueCommand.Execute(request),
            AdminOpcode.CreateSubmissionQueue => CreateSubmissionQueueCommand.Execute(request),
            AdminOpcode.GetLogPage => GetLogPageCommand.Execute(request),
            AdminOpcode.DeleteCompletionQueue => DeleteCompletionQueueCommand.Execute(request),
            AdminOpcode.CreateCompletionQueue => CreateCompletionQueueCommand.Execute(request),
            AdminOpcode.Identify => IdentifyCommand.Execute(request),
            AdminOpcode.Abort => AbortCommand.Execute(request),
            AdminOpcode.SetFeatures => SetFeaturesCommand.Execute(request),
            AdminOpcode.GetFeatures => GetFeaturesCommand.Execute(request),
            AdminOpcode.AsyncEventRequest => AsyncEventRequestCommand.Execute(request),
            AdminOpcode.NamespaceManagement when request.Controller.ManagesNamespaces => NamespaceManagementCommand.Execute(request),
            AdminOpcode.NamespaceAttachment when request.Controller.ManagesNamespaces => NamespaceAttachmentCommand.Execute(request),
            AdminOpcode.DoorbellBufferConfig when request.Controller.OffersShadowDoorbells => DoorbellBufferConfigCommand.Execute(request),
            AdminOpcode.FormatNvm => FormatCommand.Execute(request),
            _ => request.Refuse(NvmeStatus.InvalidOpcode, location: 0),
        };
    }
}
