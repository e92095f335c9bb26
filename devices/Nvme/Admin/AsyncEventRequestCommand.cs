namespace Vfio.Devices.Nvme;

/// <summary>Asynchronous Event Request (NVMe Base 2.0 §5.2): completes with the next event.</summary>
internal static class AsyncEventRequestCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        EventQueue events = request.Controller.Events;
        if (!events.TryAdd(request.Command.CommandId))
        {
            return request.Refuse(NvmeStatus.EventLimitExceeded, location: 0);
        }

        request.Controller.ScheduleEvents();
        return NvmeStatus.Deferred;
    }
}
