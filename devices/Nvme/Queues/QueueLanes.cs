using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>
/// The lanes of one queue identifier: commands that wait for storage are executed there, several at a time, while the queue goes on with its others. When all
/// are busy, the queue stops at the next such command until one is free.
/// </summary>
/// <remarks>Commands are handed over by whoever holds the queue's turn; lanes become free on any thread.</remarks>
internal sealed class QueueLanes(NvmeController controller, WorkerThreads threads)
{
    /// <summary>Commands of a queue that wait for storage at a time.</summary>
    public const int Count = 16;

    private readonly CommandLane?[] _lanes = new CommandLane?[Count];
    private int _isWaitedFor;

    /// <summary>Whether the queue waits for a lane.</summary>
    public bool IsWaitedFor => Volatile.Read(ref _isWaitedFor) != 0;

    /// <summary>Whether any has a command.</summary>
    public bool AreBusy
    {
        get
        {
            foreach (CommandLane? lane in _lanes)
            {
                if (lane is { IsBusy: true })
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Finds a lane that is free.</summary>
    /// <returns>Null when all are busy: the queue runs again when one is not.</returns>
    public CommandLane? FindFree()
    {
        CommandLane? free = Look();
        if (free is null)
        {
            // One may become free between the look and the mark: look again behind the mark.
            Interlocked.Exchange(ref _isWaitedFor, 1);
            free = Look();
            if (free is not null)
            {
                Interlocked.Exchange(ref _isWaitedFor, 0);
            }
        }

        return free;
    }

    /// <summary>Hands a command over.</summary>
    /// <returns>False when the system gives no thread.</returns>
    public bool TryStart(CommandLane lane, SubmissionQueue queue, in NvmeCommand command) => lane.TryStart(queue, command, threads);

    /// <summary>A lane has become free.</summary>
    public void OnFree(SubmissionQueue queue)
    {
        if (Interlocked.Exchange(ref _isWaitedFor, 0) != 0)
        {
            controller.GoOn(queue);
        }
    }

    /// <summary>Waits until every command that is executed now has ended. No lock held, or the turn of another queue.</summary>
    public void Await()
    {
        foreach (CommandLane? lane in _lanes)
        {
            if (lane is not null)
            {
                lock (lane.Turn)
                {
                }
            }
        }
    }

    /// <summary>Waits until no lane has a command, of those that it was given before. Nobody hands over meanwhile.</summary>
    /// <returns>False after the time.</returns>
    public bool AwaitIdle(long end)
    {
        SpinWait spin = default;
        while (AreBusy)
        {
            if (Environment.TickCount64 > end)
            {
                return false;
            }

            spin.SpinOnce(sleep1Threshold: 20);
        }

        return true;
    }

    /// <summary>Waits for copies to or from the host's memory that are under way.</summary>
    public void AwaitTransfers(long end)
    {
        foreach (CommandLane? lane in _lanes)
        {
            SpinWait spin = default;
            while (lane is { Request.Host.IsBusy: true } && Environment.TickCount64 < end)
            {
                spin.SpinOnce(sleep1Threshold: 20);
            }
        }
    }

    /// <summary>Adds what was done here.</summary>
    public void AddTo(IoStatistics sum)
    {
        foreach (CommandLane? lane in _lanes)
        {
            if (lane is not null)
            {
                sum.Add(lane.Statistics);
            }
        }
    }

    private CommandLane? Look()
    {
        for (int i = 0; i < Count; i++)
        {
            CommandLane lane = Volatile.Read(ref _lanes[i]) ?? Make(i);
            if (!lane.IsBusy)
            {
                return lane;
            }
        }

        return null;
    }

    private CommandLane Make(int index)
    {
        var lane = new CommandLane(controller, this);
        Volatile.Write(ref _lanes[index], lane);
        return lane;
    }
}
