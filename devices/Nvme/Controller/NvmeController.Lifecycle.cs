using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>Enable, disable, shutdown (NVMe Base 2.0 §3.5, §3.6) and fatal errors (§9.5).</content>
internal sealed partial class NvmeController
{
    private DeviceWork? _life;

    /// <summary>Whether queues exist: from the enable to the end of the disable. Guarded by the state lock.</summary>
    private bool _isRunning;

    /// <summary>
    /// The controller cannot go on: CSTS.CFS tells the host, which resets it. Nothing more is executed.
    /// </summary>
    public void Fail(string reason)
    {
        lock (StateLock)
        {
            if (Registers.IsFatal || !_isRunning)
            {
                return;
            }

            Registers.IsFatal = true;
            CloseQueues();
        }

        _device.LogFatal(reason);
    }

    /// <summary>Does what CC asks for, one step after the other, and says so in CSTS.</summary>
    private void Live(WorkTurn turn)
    {
        while (true)
        {
            bool flush;
            lock (StateLock)
            {
                if (turn.IsCancelled)
                {
                    return;
                }

                flush = Registers.Shutdown == ShutdownStatus.Occurring;
                bool mustStart = Registers.IsEnabled && !_isRunning && !Registers.IsFatal;
                bool mustStop = !Registers.IsEnabled && (_isRunning || Registers.IsReady || Registers.IsFatal);
                if (!flush && !mustStart && !mustStop)
                {
                    return;
                }
            }

            // What ran before ends before anything new begins, and before the host is told that it may take its memory back.
            AwaitClosedQueues();
            if (flush)
            {
                _ = TryFlushAll();
            }

            lock (StateLock)
            {
                if (turn.IsCancelled)
                {
                    return;
                }

                if (flush && Registers.Shutdown == ShutdownStatus.Occurring)
                {
                    Registers.Shutdown = ShutdownStatus.Complete;
                }
                else if (!Registers.IsEnabled)
                {
                    Registers.ClearStatus();
                    _isRunning = false;
                    ResetController();
                }
                else if (!_isRunning && !Registers.IsFatal)
                {
                    Enable();
                }
            }
        }
    }

    /// <summary>Makes the admin queues. State lock held.</summary>
    private void Enable()
    {
        uint submissions = Registers.AdminSubmissionEntries;
        uint completions = Registers.AdminCompletionEntries;
        if ((Registers.CommandSet != 0 && !(HasZones && Registers.CommandSet == IoCommandSet.AllSelected))
            || Registers.Arbitration != 0
            || Registers.PageShift > ControllerCapabilities.MaxPageShift
            || submissions < 2
            || completions < 2)
        {
            Registers.IsFatal = true;
            return;
        }

        PageSize = 1U << Registers.PageShift;
        _isRunning = true;
        ulong inPage = PageSize - 1;
        var completion = new CompletionQueue(this, 0, completions, Registers.AdminCompletionAddress & ~inPage, vector: 0, interrupts: true);
        AddCompletions(completion);
        AddSubmissions(0, submissions, Registers.AdminSubmissionAddress & ~inPage, priority: 0, completion);
        Registers.Shutdown = ShutdownStatus.None;
        Registers.IsReady = true;
        if (SharedDoorbells is not null)
        {
            _poller!.Schedule();
        }
    }

    /// <summary>What a controller reset does to everything but CC, CSTS and the admin queue registers (§3.7.2). State lock held.</summary>
    private void ResetController()
    {
        Features.Reset();
        Events.Clear();
        Changed.Clear();
        _messagesPending = 0;
        _shadow = null;
        Interlocked.Exchange(ref _isCoalescing, 0);
        if (_isStarted)
        {
            _device.Interrupts.SetIntx(false);
        }
    }
}
