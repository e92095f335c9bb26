namespace Vfio.Devices.Nvme;

/// <summary>Get Log Page (NVMe Base 2.0 §5.16): which log is asked for, and which part of it; <see cref="LogPages"/> writes them.</summary>
internal static class GetLogPageCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeController controller = request.Controller;
        byte id = (byte)command.Dword10;
        bool retainsEvent = (command.Dword10 & 0x8000) != 0;
        long length = (((long)(command.Dword11 & 0xFFFF) << 16) | (command.Dword10 >> 16)) * 4 + 4;
        ulong offset = command.Dword12 | ((ulong)command.Dword13 << 32);
        if (command.NamespaceId is not (0 or AllNamespaces))
        {
            // No log is kept for each namespace.
            return request.RefuseNamespace();
        }

        if (length > ControllerCapabilities.MaxTransfer)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 42);
        }

        Span<byte> page = request.Page;
        page.Clear();
        int size;
        switch (id)
        {
            case 0x00:
                size = LogPages.WriteSupportedLogs(page);
                break;
            case 0x01:
                controller.Errors.CopyTo(page);
                size = ErrorLog.Capacity * ErrorLog.EntryLength;
                break;
            case 0x02:
                size = LogPages.WriteHealth(page, controller);
                break;
            case 0x03:
                size = LogPages.WriteFirmwareSlots(page);
                break;
            case 0x04:
                controller.Changed.CopyTo(page);
                size = 4096;
                break;
            case 0x05:
                byte commandSet = (byte)(command.Dword14 >> 24);
                if (!controller.HasCommandSet(commandSet))
                {
                    return request.Refuse(NvmeStatus.InvalidField, location: 59);
                }

                size = LogPages.WriteCommandEffects(page, controller, commandSet);
                break;
            default:
                return request.Refuse(NvmeStatus.InvalidLogPage, location: 40);
        }

        // OT (offsets are indices) is for lists that no log here is.
        if ((command.Dword14 & (1U << 23)) != 0 || offset % 4 != 0 || offset > (ulong)size)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 48);
        }

        NvmeStatus status = request.WriteToHost(page[(int)offset..size], length);
        if (status == NvmeStatus.Success && !retainsEvent)
        {
            if (id == 0x04)
            {
                controller.Changed.Acknowledge(page[..(int)Math.Min((ulong)size, offset + (ulong)length)]);
            }

            controller.Events.Acknowledge(id);
        }

        return status;
    }
}
