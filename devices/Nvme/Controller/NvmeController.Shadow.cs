using System.Diagnostics;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>
/// Doorbells in the host's memory (NVMe Base 2.0 §5.8). While a queue runs, the host's stores are seen without a doorbell register; before it
/// sleeps it asks for one, and looks again.
/// </content>
internal sealed partial class NvmeController
{
    /// <summary>How long a queue looks for a next command before it sleeps: less than a doorbell register costs the host.</summary>
    private static readonly long s_linger = Stopwatch.Frequency / 50_000;

    private volatile ShadowDoorbells? _shadow;

    /// <summary>Whether the host may have doorbells in its memory: not where they are in shared memory already.</summary>
    public bool OffersShadowDoorbells => SharedDoorbells is null;

    /// <summary>Takes the buffers into use: what is in them from now on is what the queues hold now. Run by the admin queue.</summary>
    /// <returns>False when the memory cannot be reached.</returns>
    public bool TryUseShadow(HostLane host, ulong doorbells, ulong events)
    {
        var shadow = new ShadowDoorbells(doorbells, events);
        for (int i = 0; i < _submissions.Length; i++)
        {
            if (FindSubmissions((uint)i) is { } queue)
            {
                queue.SeenTail = queue.Tail;
                if (!shadow.TryReset(host, i, isHead: false, queue.SeenTail))
                {
                    return false;
                }
            }

            if (FindCompletions((uint)i) is { } completions)
            {
                completions.SeenHead = completions.Head;
                if (!shadow.TryReset(host, i, isHead: true, completions.SeenHead))
                {
                    return false;
                }
            }
        }

        _shadow = shadow;
        lock (StateLock)
        {
            // What the host stored before the requests stood there is looked for.
            foreach (SubmissionQueue? queue in _submissions)
            {
                if (queue is not null)
                {
                    _works[queue.Id]!.Schedule();
                }
            }
        }

        return true;
    }

    /// <summary>A queue is made: its doorbell in memory begins at zero. Run by the admin queue.</summary>
    private void ResetShadow(int queue, bool isHead)
    {
        if (queue != 0 && _shadow is { } shadow && !shadow.TryReset(_requests[0]!.Host, queue, isHead, 0))
        {
            _shadow = null;
        }
    }

    /// <summary>Executes what a queue holds, until neither its commands nor the host's doorbell in memory say that there is more. Its turn is held.</summary>
    private void RunWithShadow(SubmissionQueue queue, ShadowDoorbells shadow, WorkTurn turn)
    {
        HostLane host = queue.Request.Host;
        queue.Request.Serve(queue);
        SyncHead(queue, shadow, asks: _device.Interrupts.Mode != InterruptMode.Msix);
        while (!turn.IsPausing && !queue.IsClosed && IsBusMaster)
        {
            bool moved = SyncTail(queue, shadow);
            while (!turn.IsPausing && !queue.IsClosed && RunBatch(queue))
            {
                moved = SyncTail(queue, shadow);
            }

            if (!moved && !Linger(queue, shadow))
            {
                if (!shadow.TryAsk(host, queue.Id, isHead: false, queue.SeenTail))
                {
                    DropShadow(queue);
                    return;
                }

                if (!SyncTail(queue, shadow))
                {
                    return;
                }
            }
        }
    }

    /// <summary>Looks for a next command for a moment. Not in the admin queue, which is in no hurry.</summary>
    private bool Linger(SubmissionQueue queue, ShadowDoorbells shadow)
    {
        if (queue.Id == 0 || queue.HasCommands)
        {
            return false;
        }

        long end = Stopwatch.GetTimestamp() + s_linger;
        do
        {
            if (SyncTail(queue, shadow))
            {
                return true;
            }

            Pause();
        }
        while (Stopwatch.GetTimestamp() < end && !queue.IsClosed);
        return false;
    }

    /// <summary>Takes over the host's index of a submission queue.</summary>
    /// <returns>Whether it has changed.</returns>
    private bool SyncTail(SubmissionQueue queue, ShadowDoorbells shadow)
    {
        if (!shadow.TryRead(queue.Request.Host, queue.Id, isHead: false, out uint tail))
        {
            DropShadow(queue);
            return false;
        }

        // What has not changed is not looked at: Linux writes no indices of the admin queues.
        if (tail == queue.SeenTail)
        {
            return false;
        }

        queue.SeenTail = tail;
        if (!queue.MoveTail(tail))
        {
            Events.Report(AsyncEvent.InvalidDoorbellValue);
        }

        return true;
    }

    /// <summary>Takes over the host's index of the completion queue that a queue posts to.</summary>
    /// <param name="queue">The queue, whose turn is held.</param>
    /// <param name="shadow">The doorbells.</param>
    /// <param name="asks">Whether the register is wanted when the index moves on: for room, or for the level of the pin.</param>
    private void SyncHead(SubmissionQueue queue, ShadowDoorbells shadow, bool asks)
    {
        CompletionQueue completions = queue.Completions;
        HostLane host = queue.Request.Host;
        bool hasMoved = false;
        bool wasStarved = false;

        // Several queues may post there.
        lock (completions.HeadTurn)
        {
            if ((asks && !shadow.TryAsk(host, completions.Id, isHead: true, completions.SeenHead)) || !shadow.TryRead(host, completions.Id, isHead: true, out uint head))
            {
                DropShadow(queue);
                return;
            }

            while (head != completions.SeenHead)
            {
                completions.SeenHead = head;
                hasMoved = true;
                lock (StateLock)
                {
                    if (!completions.MoveHead(head, out bool starved))
                    {
                        Events.Report(AsyncEvent.InvalidDoorbellValue);
                    }

                    wasStarved |= starved;
                }

                // The request is for what is behind the index that was seen.
                if (!asks || !shadow.TryAsk(host, completions.Id, isHead: true, head) || !shadow.TryRead(host, completions.Id, isHead: true, out head))
                {
                    break;
                }
            }
        }

        if (hasMoved)
        {
            lock (StateLock)
            {
                if (wasStarved)
                {
                    ScheduleUsers(completions);
                }

                if (MovesPin(completions))
                {
                    UpdatePin();
                }
            }
        }
    }

    /// <summary>The memory is gone, or may not be reached now; in the former case the registers are what counts from now on.</summary>
    private void DropShadow(SubmissionQueue queue)
    {
        if (IsBusMaster && !queue.IsClosed)
        {
            _shadow = null;
        }
    }
}
