using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>Learning of completions: by interrupts, or by a thread that polls.</content>
public sealed partial class NvmeController
{
    private const int SpinsBeforeYield = 64;
    private readonly ManualResetEventSlim _pollerWake = new(false);
    private InterruptSet? _interrupts;
    private Thread? _poller;
    private int _pollerParked;
    private volatile bool _stopping;

    /// <summary>The kind of interrupt in use; null when the queues are polled.</summary>
    public PciInterrupt? InterruptKind => _interrupts?.Index;

    private void StartCompletions(int queues)
    {
        if (_options.Completion == NvmeCompletionMode.Interrupts && EnableInterrupts(queues + 1) is { } interrupts)
        {
            _interrupts = interrupts;
            for (int i = 0; i < interrupts.Count; i++)
            {
                int vector = i;
                _ = interrupts[i].Register(() => OnInterrupt(vector));
            }

            return;
        }

        _poller = new Thread(PollLoop) { IsBackground = true, Name = "vfio nvme" };
        _poller.Start();
    }

    /// <summary>MSI-X, MSI, INTx in this order, with as many vectors as there are queues, or one; null when there is nothing.</summary>
    private InterruptSet? EnableInterrupts(int wanted)
    {
        PciInterrupt[] kinds = _options.Interrupt is { } only ? [only] : [PciInterrupt.Msix, PciInterrupt.Msi, PciInterrupt.Intx];
        VfioException? refused = null;
        foreach (PciInterrupt kind in kinds)
        {
            int available = (int)kind < _connection.Irqs.Count ? (int)Math.Min(_connection.Irqs[(int)kind].Count, 2048) : 0;
            int most = kind == PciInterrupt.Intx ? Math.Min(available, 1) : Math.Min(available, wanted);
            foreach (int count in most > 1 ? (int[])[most, 1] : most == 1 ? [1] : [])
            {
                try
                {
                    return _connection.EnableInterrupts(kind, count);
                }
                catch (VfioException exception)
                {
                    refused = exception;
                }
            }
        }

        return _options.Interrupt is { } kept
            ? throw refused ?? Refusal(Errno.EINVAL, $"It has no {kept} interrupts, which the options ask for.")
            : null;
    }

    /// <summary>The vector of a queue: its own, or one shared when there are fewer vectors than queues.</summary>
    private ushort? VectorOf(ushort queue) => _interrupts is null ? null : (ushort)(queue % _interrupts.Count);

    private void OnInterrupt(int vector)
    {
        InterruptSet interrupts = _interrupts!;
        foreach (QueuePair queue in _queues)
        {
            if (queue.Id % interrupts.Count == vector)
            {
                queue.Drain();
            }
        }

        if (interrupts.Index == PciInterrupt.Intx)
        {
            // The level is down once the completion heads were rung, or comes again at once. A device that is gone has none.
            _ = _connection.TrySetIrqs(PciInterrupt.Intx, IrqSetFlags.DataNone | IrqSetFlags.ActionUnmask, 0, 1);
        }
    }

    private void PollLoop()
    {
        int idle = 0;
        while (!_stopping)
        {
            int taken = 0;
            bool busy = false;
            foreach (QueuePair queue in _queues)
            {
                if (queue.InFlight > 0)
                {
                    busy = true;
                    taken += queue.Drain();
                }
            }

            if (taken > 0)
            {
                idle = 0;
            }
            else if (!busy)
            {
                Park();
            }
            else if (++idle % SpinsBeforeYield == 0)
            {
                // Whoever does the device's work may want this processor.
                Thread.Yield();
            }
            else
            {
                Thread.SpinWait(10);
            }
        }
    }

    private void Park()
    {
        _pollerWake.Reset();
        Volatile.Write(ref _pollerParked, 1);

        // Whoever sends after this look sees the flag: both sides store, then load.
        Interlocked.MemoryBarrier();
        if (!_stopping && Array.TrueForAll(_queues, static queue => queue.InFlight == 0))
        {
            _pollerWake.Wait();
        }

        Volatile.Write(ref _pollerParked, 0);
    }

    private void WakePoller()
    {
        if (_poller is not null)
        {
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref _pollerParked) != 0)
            {
                _pollerWake.Set();
            }
        }
    }

    private void StopCompletions()
    {
        _stopping = true;
        _pollerWake.Set();

        // Ends the callbacks too.
        _interrupts?.Dispose();
        if (_poller is not null && _poller != Thread.CurrentThread)
        {
            _poller.Join();
        }
    }
}
