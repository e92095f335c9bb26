namespace Vfio.Pci;

/// <summary>
/// Moves a notice from the host's shared event loop to the thread pool: the loop serves all devices of the host, and a device's lock
/// may be held by a thread that a hostile user keeps waiting. Coalesces; allocates nothing a call.
/// </summary>
internal sealed class DeferredCall(Action action) : IThreadPoolWorkItem
{
    private int _pending;

    public void Post()
    {
        if (Interlocked.Exchange(ref _pending, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    public void Execute()
    {
        Volatile.Write(ref _pending, 0);
        Interlocked.MemoryBarrier();
        action();
    }
}
