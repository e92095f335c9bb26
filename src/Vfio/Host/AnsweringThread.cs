namespace Vfio;

/// <summary>
/// A thread that answers a user's requests one after another, as that of a vfio-user connection does. What a device wants done behind a request, and is
/// done in microseconds, it can leave to this thread, which does it when the answer is sent: waking another one takes longer than the work.
/// </summary>
/// <remarks>
/// Belongs to its thread. Between <see cref="Enter"/> and <see cref="Exit"/> the static members act on it, on that thread; on others they do nothing.
/// Nothing is allocated while few things are left at a time.
/// </remarks>
/// <param name="help">
/// Takes in what the user sends, for a bounded time, when something that others wait for may be in it (<see cref="TryHelp"/>): true when it did. Null when nothing ever is.
/// </param>
public sealed class AnsweringThread(Func<bool>? help = null)
{
    [ThreadStatic]
    private static AnsweringThread? t_current;

    private readonly List<IThreadPoolWorkItem> _left = [];
    private bool _isWorking;
    private bool _takesWork;

    /// <summary>Whether something is left to do.</summary>
    public bool HasWork => _left.Count > 0;

    /// <summary>Whether the calling thread is one that answers and does now what was left to it: somebody waits to be answered.</summary>
    public static bool IsCurrentWorking => t_current is { _isWorking: true };

    /// <summary>Leaves something to the calling thread.</summary>
    /// <returns>False when it does not answer anybody: it is for the thread pool.</returns>
    public static bool TryLeave(IThreadPoolWorkItem work)
    {
        if (t_current is not { _takesWork: true } thread)
        {
            return false;
        }

        thread._left.Add(work);
        return true;
    }

    /// <summary>Takes back what was left to the calling thread, to do it now.</summary>
    /// <returns>False when it was not.</returns>
    public static bool TryTake(IThreadPoolWorkItem work) => t_current is { } thread && thread._left.Remove(work);

    /// <summary>
    /// For a handler that waits on the calling thread for another one: does a bounded piece of what only this thread can do, such as receiving the user's answer to a
    /// transfer by message.
    /// </summary>
    /// <returns>True when something was done and the caller should look again at once.</returns>
    public static bool TryHelp() => t_current?.Help() ?? false;

    /// <summary>From here on the calling thread answers.</summary>
    /// <param name="takesWork">Whether work may be left to it.</param>
    public void Enter(bool takesWork = true)
    {
        t_current = this;
        _takesWork = takesWork;
        if (!takesWork)
        {
            HandOver();
        }
    }

    /// <summary>From here on it does not; what is left goes to the thread pool.</summary>
    public void Exit()
    {
        t_current = null;
        HandOver();
    }

    /// <summary>Does what is left. What that leaves is for the next time, so that requests that have come meanwhile are answered first.</summary>
    public void Work()
    {
        _isWorking = true;
        try
        {
            for (int i = _left.Count; i > 0 && _left.Count > 0; i--)
            {
                IThreadPoolWorkItem work = _left[0];
                _left.RemoveAt(0);
                work.Execute();
            }
        }
        finally
        {
            _isWorking = false;
        }
    }

    private void HandOver()
    {
        foreach (IThreadPoolWorkItem work in _left)
        {
            ThreadPool.UnsafeQueueUserWorkItem(work, preferLocal: false);
        }

        _left.Clear();
    }

    private bool Help() => help?.Invoke() ?? false;
}
