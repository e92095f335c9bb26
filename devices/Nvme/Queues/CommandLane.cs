using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Executes one command at a time on a thread that may wait. Used again and again, so that handing a command over allocates nothing.</summary>
internal sealed class CommandLane
{
    private readonly NvmeController _controller;
    private readonly QueueLanes _lanes;
    private readonly Action _run;
    private NvmeCommand _command;
    private SubmissionQueue _queue = null!;
    private volatile bool _isBusy;

    public CommandLane(NvmeController controller, QueueLanes lanes)
    {
        _controller = controller;
        _lanes = lanes;
        _run = Run;
        Request = new NvmeRequest(controller, Statistics);
    }

    /// <summary>The command and the buffers for it.</summary>
    public NvmeRequest Request { get; }

    /// <summary>What it has done, for whichever queue.</summary>
    public IoStatistics Statistics { get; } = new();

    /// <summary>Held while a command is executed. Who has taken it once after a change knows that no command from before the change runs here.</summary>
    public Lock Turn { get; } = new();

    /// <summary>Whether it has a command.</summary>
    public bool IsBusy => _isBusy;

    /// <summary>Takes a command. The queue's turn is held, and the lane is not busy.</summary>
    /// <returns>False when the system gives no thread.</returns>
    public bool TryStart(SubmissionQueue queue, in NvmeCommand command, Vfio.Linux.WorkerThreads threads)
    {
        _queue = queue;
        _command = command;
        _isBusy = true;
        if (threads.TryRun(_run) == Errno.None)
        {
            return true;
        }

        _isBusy = false;
        return false;
    }

    private void Run()
    {
        SubmissionQueue queue = _queue;
        lock (Turn)
        {
            Request.Serve(queue);
            Request.Begin(_command);
            _controller.CompleteOnLane(Request, queue.IsClosed ? NvmeStatus.AbortedQueueDeleted : Execute());
        }

        _isBusy = false;
        _lanes.OnFree(queue);
    }

    /// <summary>The lease keeps the backend when the device is released under the command.</summary>
    private NvmeStatus Execute()
    {
        if (_controller.FindNamespace(_command.NamespaceId) is not { } ns)
        {
            return IoCommands.Execute(Request);
        }

        if (!ns.TryLease())
        {
            return NvmeStatus.InternalError;
        }

        NvmeStatus status = IoCommands.Execute(Request);
        ns.Release();
        return status;
    }
}
