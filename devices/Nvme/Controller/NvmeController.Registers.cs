using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>What the host reads and writes in BAR 0; all with the state lock held.</content>
internal sealed partial class NvmeController
{
    private const uint StatusReady = 1;
    private const uint StatusFatal = 2;
    private const uint StatusShutdownMask = 0xC;
    private const uint StatusShuttingDown = 0x4;
    private const uint StatusShutDown = 0x8;

    /// <summary>CAP.</summary>
    public ulong Capabilities { get; }

    /// <summary>CC.</summary>
    public ControllerConfiguration Configuration { get; private set; }

    /// <summary>CSTS.</summary>
    public uint Status { get; private set; }

    /// <summary>AQA.</summary>
    public uint AdminQueueSizes { get; set; }

    /// <summary>ASQ.</summary>
    public ulong AdminSubmissionAddress { get; set; }

    /// <summary>ACQ.</summary>
    public ulong AdminCompletionAddress { get; set; }

    /// <summary>A write of CC. What takes time is done by the life-cycle work; CSTS says when.</summary>
    public void WriteConfiguration(uint value)
    {
        ControllerConfiguration old = Configuration;
        Configuration = new ControllerConfiguration(value & ControllerConfiguration.Mask);
        if (old.IsEnabled && !Configuration.IsEnabled)
        {
            CloseQueues();
        }

        if (Configuration.Shutdown is 1 or 2 && Configuration.Shutdown != old.Shutdown)
        {
            Status = (Status & ~StatusShutdownMask) | StatusShuttingDown;
        }

        _life!.Schedule();
    }

    /// <summary>A doorbell.</summary>
    /// <param name="queue">The queue's identifier.</param>
    /// <param name="isHead">Whether it is that of the completion queue.</param>
    /// <param name="value">What the host wrote.</param>
    public void Ring(int queue, bool isHead, uint value)
    {
        if ((Status & (StatusReady | StatusFatal)) != StatusReady || !Configuration.IsEnabled)
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
            _works[queue]!.Schedule();
        }
        else if (!submissions.MoveTail(value))
        {
            Events.Report(AsyncEvent.InvalidDoorbellValue);
        }
        else
        {
            _works[queue]!.Schedule();
        }
    }

    /// <summary>A reset of the function: everything returns to its reset values, at once.</summary>
    public void ResetFunction()
    {
        CloseQueues();
        AwaitTransfers();
        Formats.Abandon();
        Configuration = default;
        Status = 0;
        AdminQueueSizes = 0;
        AdminSubmissionAddress = 0;
        AdminCompletionAddress = 0;
        InterruptMask = 0;
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

        if (_device.Interrupts.Mode != InterruptMode.Msix)
        {
            UpdatePin();
        }
    }
}
