using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>Doorbells in shared memory, which one thread looks at all the time and for which it runs all queues (<see cref="NvmeOptions.Polled"/>).</content>
internal sealed partial class NvmeController
{
    private DeviceWork? _poller;
    private readonly PollerRest? _rest;

    /// <summary>The queues that the poller runs; replaced with the state lock held. Empty while the controller is disabled.</summary>
    private volatile SubmissionQueue[] _polled = [];

    /// <summary>The doorbells; null when they are registers.</summary>
    public BarMemory? SharedDoorbells { get; }

    /// <summary>Bytes of the doorbells: whole pages, so that they can be mapped.</summary>
    public static ulong DoorbellLength(int pairs)
    {
        ulong page = (ulong)Environment.SystemPageSize;
        return (((ulong)pairs * DoorbellBlock.Stride) + page - 1) / page * page;
    }

    /// <summary>A queue begins with its doorbell at zero, whatever is left there of an earlier one. State lock held.</summary>
    private void ClearDoorbell(int queue, bool isHead) => SharedDoorbells?.Write((ulong)((queue * DoorbellBlock.Stride) + (isHead ? 4 : 0)), 4, 0);

    /// <summary>Takes over which queues there are. State lock held.</summary>
    private void UpdatePolled()
    {
        if (SharedDoorbells is null)
        {
            return;
        }

        int count = 0;
        var queues = new SubmissionQueue[_submissions.Length];
        foreach (SubmissionQueue? queue in _submissions)
        {
            if (queue is not null)
            {
                queues[count++] = queue;
            }
        }

        _polled = queues[..count];
    }

    /// <summary>Runs from the enable until the queues are gone.</summary>
    private void Poll(WorkTurn turn)
    {
        BarMemory doorbells = SharedDoorbells!;
        _rest?.Begin();
        while (!turn.IsCancelled && !turn.IsPausing && _polled is { Length: > 0 } queues)
        {
            if (LookOnce(doorbells, queues))
            {
                _rest?.Begin();
            }
            else if (_rest is null || !_rest.TryRest())
            {
                Pause();
            }
        }

        if (turn.IsPausing)
        {
            _poller!.Schedule();
        }
    }

    /// <summary>
    /// Looks at all doorbells and executes what waits. Not part of the loop around it: that one is entered once, and keeps the code that it was entered with; this one is compiled
    /// anew for what it does.
    /// </summary>
    /// <returns>Whether something may be left to do.</returns>
    private bool LookOnce(BarMemory doorbells, SubmissionQueue[] queues)
    {
        // The memory is replaced only after the last close, which waits for this run.
        ReadOnlySpan<uint> values = MemoryMarshal.Cast<byte, uint>(doorbells.Slice(0, (int)doorbells.Size));
        bool mayBeMore = false;
        foreach (SubmissionQueue queue in queues)
        {
            uint tail = Volatile.Read(in values[queue.Id * 2]);
            if (tail != queue.SeenTail)
            {
                queue.SeenTail = tail;
                if (!queue.MoveTail(tail))
                {
                    Events.Report(AsyncEvent.InvalidDoorbellValue);
                }
            }

            CompletionQueue completions = queue.Completions;
            uint head = Volatile.Read(in values[(completions.Id * 2) + 1]);
            if (head != completions.SeenHead)
            {
                completions.SeenHead = head;
                PollHead(completions, head);
            }

            if (queue.HasCommands && IsBusMaster)
            {
                lock (queue.Turn)
                {
                    mayBeMore |= !queue.IsClosed && RunBatch(queue);
                }
            }
        }

        return mayBeMore;
    }

    /// <summary>There is something to do that the poller would see only when it looks. Any thread, also with the state lock held.</summary>
    public void WakePoller() => _rest?.WakeUp();

    /// <summary>One instruction that tells the processor of a loop that waits; <see cref="Thread.SpinWait"/> measures time as well, which delays the look.</summary>
    private static void Pause()
    {
        if (X86Base.IsSupported)
        {
            X86Base.Pause();
        }
        else
        {
            Thread.SpinWait(1);
        }
    }

    private void PollHead(CompletionQueue completions, uint head)
    {
        if (!completions.MoveHead(head, out _))
        {
            Events.Report(AsyncEvent.InvalidDoorbellValue);
            return;
        }

        if (completions.Id == 0 && Events.IsWaiting)
        {
            ScheduleEvents();
        }

        if (MovesPin(completions))
        {
            lock (StateLock)
            {
                UpdatePin();
            }
        }
    }
}
