namespace Vfio;

/// <summary>The thread that runs a callback for an interrupt. Made by <see cref="InterruptVector.Register"/>.</summary>
internal sealed class InterruptHandler : IDisposable
{
    private readonly InterruptVector _vector;
    private readonly Action _handler;
    private readonly Thread _thread;
    private volatile bool _stopping;

    internal InterruptHandler(InterruptVector vector, Action handler)
    {
        _vector = vector;
        _handler = handler;
        _thread = new Thread(Run) { IsBackground = true, Name = "vfio interrupt" };
        _thread.Start();
    }

    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        _stopping = true;
        if (Thread.CurrentThread != _thread)
        {
            // Wakes the thread, which waits for nothing else; what came from the device meanwhile stays for who takes the vector next.
            _ = _vector.EventFd.Signal();
            _thread.Join();
            if (_vector.EventFd.TryConsume(out ulong count) && count > 1)
            {
                _ = _vector.EventFd.Signal(count - 1);
            }
        }

        _vector.Forget(this);
    }

    private void Run()
    {
        while (!_stopping)
        {
            _ = _vector.EventFd.Wait(Timeout.Infinite);
            if (!_stopping && _vector.EventFd.TryConsume(out _))
            {
                _handler();
            }
        }
    }
}
