using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <content>Whether the controller may reach the host's memory: not without bus mastering, nor in D3, nor for a queue that a reset has closed.</content>
internal sealed partial class NvmeController
{
    /// <summary>
    /// How long a reset waits for what is being copied. Copies between memories take microseconds; only memory that is reached by messages can
    /// take longer, and there the message that carries the data is sent before the answer to the reset.
    /// </summary>
    private const int TransferLimit = 50;

    private volatile bool _isBusMaster;

    public DmaSpace Dma => _device.Dma;

    /// <summary>Whether the host lets the function reach memory.</summary>
    public bool IsBusMaster => _isBusMaster;

    /// <summary>
    /// The host gives or takes bus mastering. What waits is executed once it is given; when it is taken from a command under way, which it must
    /// not be, the controller cannot go on. State lock held.
    /// </summary>
    public void SetBusMaster(bool value)
    {
        if (value == _isBusMaster)
        {
            return;
        }

        _isBusMaster = value;
        if (!value)
        {
            AwaitTransfers();
            return;
        }

        WakePoller();
        for (int i = 0; i < _submissions.Length && SharedDoorbells is null; i++)
        {
            if (_submissions[i] is not null)
            {
                _works[i]!.Schedule();
            }
        }

        if (_isStarted)
        {
            ScheduleEvents();
        }
    }

    /// <summary>
    /// Waits for copies that began before the queues were closed or bus mastering was taken: on return none touches the host's memory any more.
    /// State lock held; who copies takes no lock that is taken here.
    /// </summary>
    private void AwaitTransfers()
    {
        // Whoever begins a copy from now on sees that it may not, and whoever has begun is seen.
        Interlocked.MemoryBarrierProcessWide();
        long end = Environment.TickCount64 + TransferLimit;
        foreach (NvmeRequest? request in _requests)
        {
            SpinWait spin = default;
            while (request is { Host.IsBusy: true } && Environment.TickCount64 < end)
            {
                spin.SpinOnce(sleep1Threshold: 20);
            }
        }

        foreach (QueueLanes? lanes in _lanes)
        {
            lanes?.AwaitTransfers(end);
        }

        foreach (SubmissionQueue queue in _retiring)
        {
            _ = queue.Completions.AwaitPost(Left(end));
        }

        foreach (SubmissionQueue? queue in _submissions)
        {
            _ = queue?.Completions.AwaitPost(Left(end));
        }
    }

    private static TimeSpan Left(long end) => TimeSpan.FromMilliseconds(Math.Max(0, end - Environment.TickCount64));
}
