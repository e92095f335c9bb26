using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Closes for good at the first flush that fails. The kernel reports lost data once and forgets it, a server that died even never does: a flush that
/// succeeded later would tell the host that blocks are durable which are gone (ADR 0404).
/// </summary>
/// <param name="synchronize">Makes durable what was written before.</param>
/// <param name="isHarmless">Whether a failure says nothing about data: it then does not close the gate. Null when all do.</param>
/// <remarks>Flushes at the same time share one call. The lock is held around it, and encloses nothing else.</remarks>
internal sealed class FlushGate(Func<Errno> synchronize, Func<Errno, bool>? isHarmless = null)
{
    private readonly Lock _lock = new();
    private long _asked;
    private long _done;
    private int _failure;

    /// <summary>Why the gate is closed; <see cref="Errno.None"/> while it is open.</summary>
    public Errno Failure => (Errno)Volatile.Read(ref _failure);

    /// <summary>Closes the gate: something that was acknowledged may be lost.</summary>
    public void Close(Errno error) => _ = Interlocked.CompareExchange(ref _failure, (int)error, (int)Errno.None);

    /// <summary>Makes durable what was written before the call.</summary>
    /// <returns>What the first flush that failed had answered, also for all that follow.</returns>
    public Errno Flush()
    {
        long ticket = Interlocked.Increment(ref _asked);
        lock (_lock)
        {
            if (Failure == Errno.None && _done < ticket)
            {
                // All that asked before this look have written before it.
                long covered = Volatile.Read(ref _asked);
                Errno error = synchronize();
                if (error == Errno.None)
                {
                    _done = covered;
                }
                else if (isHarmless is null || !isHarmless(error))
                {
                    Close(error);
                }
                else
                {
                    return Failure == Errno.None ? error : Failure;
                }
            }

            return Failure;
        }
    }
}
