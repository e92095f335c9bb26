using System.Threading.Tasks.Sources;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>One operation of a caller's: pooled, awaited as a <see cref="ValueTask"/>, carried out by one command or several.</summary>
/// <remarks>All fields but the result's belong to the queue, under its lock, from submission to completion.</remarks>
internal sealed class NvmeRequest(QueuePair queue) : IValueTaskSource<uint>, IValueTaskSource, IThreadPoolWorkItem
{
    private ManualResetValueTaskSourceCore<uint> _core;

    /// <summary>The command without what differs from part to part.</summary>
    public SubmissionEntry Template;

    public RequestKind Kind { get; set; }

    /// <summary>Whether it may be sent again after a reset: doing it twice is the same as doing it once.</summary>
    public bool IsReplayable { get; set; }

    /// <summary>First block that no command carries yet.</summary>
    public ulong NextBlock { get; set; }

    /// <summary>Blocks that no command carries yet; 1 for <see cref="RequestKind.Command"/>.</summary>
    public ulong RemainingBlocks { get; set; }

    /// <summary>Blocks that one command may carry.</summary>
    public uint MaximumBlocks { get; set; }

    public int BlockShift { get; set; }

    /// <summary>Address of the data of <see cref="NextBlock"/>, or 0 when the commands carry none.</summary>
    public ulong NextIova { get; set; }

    public bool HasData { get; set; }

    /// <summary>Commands in flight.</summary>
    public int Outstanding { get; set; }

    /// <summary>Whether it stands in the queue's list of those that have commands to send.</summary>
    public bool IsPending { get; set; }

    /// <summary>The next one in whichever list this one is in.</summary>
    public NvmeRequest? Next { get; set; }

    public RequestFailure Failure { get; private set; }

    public NvmeStatus Status { get; private set; }

    /// <summary>Dword 0 of the completion.</summary>
    public uint Result { get; set; }

    /// <summary>Whether nothing of it is left to be done.</summary>
    public bool IsFinished => Outstanding == 0 && RemainingBlocks == 0 && !IsPending;

    public ValueTask AsTask() => new(this, _core.Version);

    public ValueTask<uint> AsResultTask() => new(this, _core.Version);

    /// <summary>Records the first failure; what was not sent yet is not sent any more.</summary>
    public void Fail(RequestFailure failure, NvmeStatus status = default)
    {
        if (Failure == RequestFailure.None)
        {
            Failure = failure;
            Status = status;
        }

        RemainingBlocks = 0;
    }

    /// <summary>Tells the caller. Not under the queue's lock: the caller's continuation may run in here.</summary>
    public void Complete(bool inline)
    {
        if (inline)
        {
            _core.SetResult(Result);
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    void IThreadPoolWorkItem.Execute() => _core.SetResult(Result);

    ValueTaskSourceStatus IValueTaskSource<uint>.GetStatus(short token) => _core.GetStatus(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<uint>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    uint IValueTaskSource<uint>.GetResult(short token) => TakeResult(token);

    void IValueTaskSource.GetResult(short token) => TakeResult(token);

    private uint TakeResult(short token)
    {
        // Throws for a token of an earlier use, before anything is given back.
        uint result = _core.GetResult(token);
        NvmeException? exception = Failure == RequestFailure.None ? null : CreateException();
        _core.Reset();
        Failure = RequestFailure.None;
        queue.Return(this);
        return exception is null ? result : throw exception;
    }

    private NvmeException CreateException()
    {
        string operation = $"{NvmeCommandNames.Describe(in Template, queue.Id == 0)} of {queue.Address}";
        return Failure switch
        {
            RequestFailure.Status => new NvmeException(Status, operation),
            RequestFailure.TimedOut => new NvmeException(Errno.ETIMEDOUT, operation, "The controller did not answer in time, also after resets."),
            RequestFailure.Reset => new NvmeException(Errno.ECANCELED, operation, "The controller was reset while the command was under way. Whether it took effect is not known."),
            RequestFailure.Disposed => new NvmeException(Errno.ESHUTDOWN, operation, "The driver was disposed."),
            _ => new NvmeException(Errno.ENODEV, operation, queue.FailureReason ?? "The controller failed."),
        };
    }
}
