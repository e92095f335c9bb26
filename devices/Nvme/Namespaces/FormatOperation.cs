using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Executes Format NVM, one at a time, while the admin queue goes on (NVMe Base 2.0 §5.14). Commands for a namespace that is being formatted get
/// Format in Progress; those under way end first.
/// </summary>
/// <remarks>Its lock guards what waits and what runs, is taken inside the state lock and encloses nothing.</remarks>
internal sealed class FormatOperation(NvmeController controller)
{
    /// <summary>Bytes that are cleared between two looks at whether the device is taken away.</summary>
    private const ulong StepLength = 64UL << 20;

    private readonly Lock _lock = new();
    private readonly NvmeNamespace?[] _targets = new NvmeNamespace?[NvmeController.MaxNamespaces];
    private readonly BlockFormat?[] _formats = new BlockFormat?[NvmeController.MaxNamespaces];
    private int _count;
    private bool _isRunning;
    private SubmissionQueue? _queue;
    private NvmeCommand _command;

    /// <summary>Whether one waits or runs.</summary>
    public bool IsBusy
    {
        get
        {
            lock (_lock)
            {
                return _count != 0;
            }
        }
    }

    /// <summary>Begins to format namespaces. The command completes later.</summary>
    /// <param name="request">The command.</param>
    /// <param name="targets">The namespaces.</param>
    /// <param name="formats">What they get.</param>
    /// <returns><see cref="NvmeStatus.Kept"/>, or Format in Progress when one runs.</returns>
    public NvmeStatus Begin(NvmeRequest request, ReadOnlySpan<NvmeNamespace> targets, ReadOnlySpan<BlockFormat> formats)
    {
        lock (_lock)
        {
            if (_count != 0)
            {
                return NvmeStatus.FormatInProgress;
            }

            foreach (NvmeNamespace ns in targets)
            {
                // One that is deleted meanwhile keeps its backends until the format has ended.
                if (ns.TryLease())
                {
                    ns.BeginFormat();
                    _targets[_count] = ns;
                    _formats[_count] = formats[_count];
                    _count++;
                }
            }

            _queue = request.Queue;
            _command = request.Command;
        }

        controller.ScheduleFormat();
        return NvmeStatus.Kept;
    }

    /// <summary>Formats what waits.</summary>
    public void Run(WorkTurn turn)
    {
        lock (_lock)
        {
            if (_queue is null || _isRunning)
            {
                return;
            }

            _isRunning = true;
        }

        controller.AwaitQueues();
        Errno error = Errno.None;
        for (int i = 0; i < _count; i++)
        {
            Errno result = Erase(_targets[i]!, turn);
            _targets[i]!.EndFormat(_formats[i]!);
            error = error == Errno.None ? result : error;
        }

        SubmissionQueue queue;
        NvmeCommand command;
        lock (_lock)
        {
            queue = _queue!;
            command = _command;
            Forget();
        }

        controller.CompleteKept(queue, command, error == Errno.None ? NvmeStatus.Success : NvmeStatus.InternalError);
    }

    /// <summary>The function was reset: what has not begun does not begin. What runs goes on to its end, which is near. State lock held.</summary>
    public void Abandon()
    {
        lock (_lock)
        {
            if (_queue is null || _isRunning)
            {
                return;
            }

            for (int i = 0; i < _count; i++)
            {
                _targets[i]!.EndFormat(_targets[i]!.LastFormat);
            }

            Forget();
        }
    }

    private static Errno Erase(NvmeNamespace ns, WorkTurn turn)
    {
        ulong length = ns.Backend.Length;
        for (ulong offset = 0; offset < length && !turn.IsCancelled; offset += StepLength)
        {
            Errno error = ns.Backend.Clear(offset, Math.Min(StepLength, length - offset));
            if (error != Errno.None)
            {
                return error;
            }

            ns.FormatLeft = (int)(100 - (offset / Math.Max(1, length / 100)));
        }

        ns.Unreadable.Clear();
        Errno cleared = ns.Metadata?.Clear(0, NvmeNamespace.MetadataOf(length)) ?? Errno.None;
        if (cleared == Errno.None && ns.Zones?.ActOnAll(ZoneAction.Reset) is not (null or NvmeStatus.Success))
        {
            cleared = Errno.EIO;
        }

        return cleared == Errno.None ? ns.Flush() : cleared;
    }

    private void Forget()
    {
        for (int i = 0; i < _count; i++)
        {
            _targets[i]!.Release();
            _targets[i] = null;
            _formats[i] = null;
        }

        _count = 0;
        _queue = null;
        _isRunning = false;
    }
}
