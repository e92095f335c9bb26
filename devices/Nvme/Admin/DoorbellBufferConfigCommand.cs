namespace Vfio.Devices.Nvme;

/// <summary>Doorbell Buffer Config (NVMe Base 2.0 §5.8): PRP1 leads to the page with the host's indices, PRP2 to that with the controller's requests.</summary>
internal static class DoorbellBufferConfigCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeController controller = request.Controller;
        ulong inPage = controller.PageSize - 1;
        if ((command.Pointer1 & inPage) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 24);
        }

        if ((command.Pointer2 & inPage) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 32);
        }

        return controller.TryUseShadow(request.Host, command.Pointer1, command.Pointer2) ? NvmeStatus.Success : NvmeStatus.DataTransferError;
    }
}
