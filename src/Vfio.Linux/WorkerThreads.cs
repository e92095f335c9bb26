using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Threads for work that blocks in the kernel, lent to whoever has some and taken back afterwards: as many as are needed at once, and no more.</summary>
/// <remarks>
/// Unlike the runtime's pool, work never waits for a thread. An idle thread stays for a while, so that who comes back soon costs no new one.
/// The lock is a leaf.
/// </remarks>
public sealed class WorkerThreads : IDisposable
{
    private readonly string _name;
    private readonly TimeSpan _keep;
    private readonly Lock _lock = new();

    /// <summary>The last one that came to rest is the first to work again.</summary>
    private readonly List<Worker> _idle = [];
    private int _count;
    private int _busy;
    private bool _stopped;

    /// <summary>Makes the lender; no thread is started.</summary>
    /// <param name="name">The threads' name; Linux shows the first 15 characters.</param>
    /// <param name="keep">How long an idle thread stays; ten seconds when null.</param>
    public WorkerThreads(string name = "vfio worker", TimeSpan? keep = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        _name = name;
        _keep = keep ?? TimeSpan.FromSeconds(10);
        ArgumentOutOfRangeException.ThrowIfLessThan(_keep, TimeSpan.Zero, nameof(keep));
    }

    /// <summary>Threads that exist.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    /// <summary>Threads that work now. Takes no lock: it is asked before every wait of a busy one.</summary>
    public int Busy => Volatile.Read(ref _busy);

    /// <summary>Runs work on a thread of its own.</summary>
    /// <param name="work">The work. What it throws ends the process, as on any thread.</param>
    /// <returns>EAGAIN when the system gives no thread now.</returns>
    public Errno TryRun(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        Worker? worker = null;
        lock (_lock)
        {
            _busy++;
            if (_idle.Count > 0)
            {
                worker = _idle[^1];
                _idle.RemoveAt(_idle.Count - 1);
            }
            else
            {
                _count++;
            }
        }

        if (worker is not null)
        {
            worker.Give(work);
            return Errno.None;
        }

        try
        {
            _ = new Worker(this, work);
            return Errno.None;
        }
        catch (OutOfMemoryException)
        {
            // What the runtime reports when the system gives no thread, which also takes descriptors.
            lock (_lock)
            {
                _busy--;
                _count--;
            }

            return Errno.EAGAIN;
        }
    }

    /// <summary>Ends the idle threads; those that work end when they have finished. Idempotent.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stopped = true;
            foreach (Worker worker in _idle)
            {
                worker.Give(null);
            }

            _count -= _idle.Count;
            _idle.Clear();
        }
    }

    /// <summary>A worker has finished.</summary>
    /// <returns>False when it is not wanted any more.</returns>
    private bool Return(Worker worker)
    {
        lock (_lock)
        {
            _busy--;
            if (_stopped)
            {
                _count--;
                return false;
            }

            _idle.Add(worker);
            return true;
        }
    }

    /// <summary>An idle worker has waited for long.</summary>
    /// <returns>False when it was given work at that very moment.</returns>
    private bool Leave(Worker worker)
    {
        lock (_lock)
        {
            if (!_idle.Remove(worker))
            {
                return false;
            }

            _count--;
            return true;
        }
    }

    private sealed class Worker
    {
        private readonly WorkerThreads _owner;
        private readonly WakeUp _given = new();
        private Action? _work;

        public Worker(WorkerThreads owner, Action work)
        {
            _owner = owner;
            _work = work;
            new Thread(Run) { IsBackground = true, Name = owner._name }.Start();
        }

        public void Give(Action? work)
        {
            _work = work;
            _given.Give();
        }

        private void Run()
        {
            Work();
            _given.Dispose();
        }

        private void Work()
        {
            while (_work is { } work)
            {
                _work = null;
                work();
                if (!_owner.Return(this))
                {
                    return;
                }

                if (!_given.Wait(_owner._keep))
                {
                    if (_owner.Leave(this))
                    {
                        return;
                    }

                    _given.Wait();
                }
            }
        }
    }
}
