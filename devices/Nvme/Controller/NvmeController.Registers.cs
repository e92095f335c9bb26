using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>What the host reads and writes in BAR 0; all with the state lock held.</content>
internal sealed partial class NvmeController
{
    /// <summary>The properties before the doorbells.</summary>
    public ControllerRegisters Registers { get; }

    /// <summary>CC was written. What takes time is done by the life-cycle work; CSTS says when.</summary>
    public void Configure(bool wasEnabled, bool isShutdownNew)
    {
        if (wasEnabled && !Registers.IsEnabled)
        {
            CloseQueues();
        }

        if (isShutdownNew && Registers.ShutdownNotification is ShutdownNotification.Normal or ShutdownNotification.Abrupt)
        {
            // The host takes its memory back when it hears that the shutdown is complete, without a disable; only a reset brings queues again.
            CloseQueues();
            Registers.Shutdown = ShutdownStatus.Occurring;
        }

        _life!.Schedule();
    }

    /// <summary>A doorbell.</summary>
    /// <param name="queue">The queue's identifier.</param>
    /// <param name="isHead">Whether it is that of the completion queue.</param>
    /// <param name="value">What the host wrote.</param>
    public void Ring(int queue, bool isHead, uint value)
    {
        if (!Registers.TakesDoorbells)
        {
            return;
        }

        if (isHead)
        {
            RingHead(queue, value);
            return;
        }

        if (_submissions[queue] is not { } submissions)
        {
            Events.Report(AsyncEvent.InvalidDoorbellRegister);
        }
        else if (queue != 0 && _shadow is not null)
        {
            // The index is in the host's memory, where it may be newer.
            ScheduleCommands(submissions);
        }
        else if (!submissions.MoveTail(value))
        {
            Events.Report(AsyncEvent.InvalidDoorbellValue);
        }
        else
        {
            ScheduleCommands(submissions);
        }
    }

    /// <summary>A reset of the function: everything returns to its reset values, at once. The registers have theirs already.</summary>
    public void ResetFunction()
    {
        CloseQueues();
        AwaitTransfers();
        Formats.Abandon();
        _isRunning = false;
        ResetController();
    }

    private void RingHead(int queue, uint value)
    {
        if (_completions[queue] is not { } completions)
        {
            Events.Report(AsyncEvent.InvalidDoorbellRegister);
            return;
        }

        if (queue != 0 && _shadow is not null)
        {
            ScheduleUsers(completions);
            return;
        }

        if (!completions.MoveHead(value, out bool wasStarved))
        {
            Events.Report(AsyncEvent.InvalidDoorbellValue);
            return;
        }

        if (wasStarved)
        {
            ScheduleUsers(completions);
        }

        if (queue == 0 && Events.IsWaiting)
        {
            ScheduleEvents();
        }

        if (MovesPin(completions))
        {
            UpdatePin();
        }
    }
}
