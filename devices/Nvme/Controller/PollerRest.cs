using System.Diagnostics;

namespace Vfio.Devices.Nvme;

/// <summary>What a polling thread does when nothing comes: it goes on looking for a while, and then sleeps between two looks.</summary>
/// <param name="period">How long it sleeps between two looks, when nothing wakes it.</param>
/// <remarks>All members belong to the polling thread, except <see cref="WakeUp"/>.</remarks>
internal sealed class PollerRest(TimeSpan period) : IDisposable
{
    /// <summary>A millisecond between two looks of one that sleeps: a look takes some microseconds, so that this is well under a hundredth of a processor.</summary>
    public static readonly TimeSpan DefaultPeriod = TimeSpan.FromMilliseconds(1);

    /// <summary>The clock is read once in so many looks, which would take twice as long otherwise.</summary>
    private const int LooksOfClock = 32;

    /// <summary>How long it goes on looking, in ticks: longer than what a host needs between two commands while it is at work.</summary>
    private static readonly long s_patience = Stopwatch.Frequency / 500;

    // No spinning inside: who sleeps here has looked for long enough.
    private readonly ManualResetEventSlim _rung = new(initialState: false, spinCount: 0);
    private long _idleSince;
    private int _looks;

    /// <summary>It sleeps, or is about to after one more look.</summary>
    private volatile bool _isAsleep;

    /// <summary>There was work: the patience begins again.</summary>
    public void Begin()
    {
        _idleSince = 0;
        _looks = 0;
        _isAsleep = false;
    }

    /// <summary>There was none: sleeps when it is time to.</summary>
    /// <returns>Whether it slept; otherwise it is for the caller to look again.</returns>
    public bool TryRest()
    {
        if (++_looks < LooksOfClock)
        {
            return false;
        }

        _looks = 0;
        long now = Stopwatch.GetTimestamp();
        if (_idleSince == 0)
        {
            _idleSince = now;
        }

        if (now - _idleSince < s_patience)
        {
            return false;
        }

        if (!_isAsleep)
        {
            // One more look, by which what came before anybody knew of the sleep is seen.
            _isAsleep = true;
            Interlocked.MemoryBarrier();
            _looks = LooksOfClock;
            return false;
        }

        if (_rung.Wait(period))
        {
            _rung.Reset();
            Begin();
        }

        // Each look that finds nothing is followed by a sleep now.
        _looks = LooksOfClock;
        return true;
    }

    /// <summary>Ends a sleep. Any thread; costs next to nothing when there is none.</summary>
    public void WakeUp()
    {
        Interlocked.MemoryBarrier();
        if (_isAsleep)
        {
            _rung.Set();
        }
    }

    public void Dispose() => _rung.Dispose();
}
