namespace Vfio.Iommu;

/// <content>Cursors: readers that enter the whole map once, and then look up as often as they like without an atomic operation.</content>
internal sealed partial class IovaMap
{
    // The two counters are in cache lines of their own; the first line has the array's head.
    private const int CounterSpacing = 16;
    private readonly int[] _cursors = new int[3 * CounterSpacing];

    /// <summary>Held for as long as one grace period lasts, and encloses nothing.</summary>
    private readonly Lock _graceLock = new();
    private int _phase;
    private int _restricted;

    /// <summary>
    /// Whether any area is busy or to be let go of: while none is, what the index says of areas is all there is to know. Told before the area is, so that who sees false is
    /// as one who has looked at the area before.
    /// </summary>
    public bool IsRestricted => Volatile.Read(ref _restricted) != 0;

    /// <summary>Enters: until <see cref="LeaveCursor"/> the memory of every area that is found in the index from now on stays.</summary>
    /// <returns>What <see cref="LeaveCursor"/> wants to know.</returns>
    public int EnterCursor()
    {
        while (true)
        {
            int phase = Volatile.Read(ref _phase) & 1;
            Interlocked.Increment(ref Counter(phase));

            // Counted in the phase that is running: a grace period that began before has nothing to fear, a later one waits.
            if ((Volatile.Read(ref _phase) & 1) == phase)
            {
                return phase;
            }

            Interlocked.Decrement(ref Counter(phase));
        }
    }

    /// <summary>Leaves. Call it exactly once for each entry.</summary>
    public void LeaveCursor(int phase) => Interlocked.Decrement(ref Counter(phase));

    /// <summary>Waits until nobody is inside who may have found an area that has left the index already, or was marked busy.</summary>
    private void WaitForCursors()
    {
        // Who enters behind this sees the index as it is now.
        Interlocked.MemoryBarrier();
        if ((Volatile.Read(ref Counter(0)) | Volatile.Read(ref Counter(1))) == 0)
        {
            return;
        }

        lock (_graceLock)
        {
            // New ones count in the other phase, which the last grace period left empty, so that this wait has an end.
            int ending = _phase & 1;
            Interlocked.Increment(ref _phase);
            SpinWait spin = default;
            while (Volatile.Read(ref Counter(ending)) != 0)
            {
                spin.SpinOnce();
            }
        }
    }

    /// <summary>Marks an area of the index, or that is to go there. The caller holds the lock.</summary>
    private void MakeBusy(IovaArea area)
    {
        CountRestricted(area);
        area.IsBusy = true;
    }

    /// <summary>As <see cref="MakeBusy"/>: from now on accesses are refused, since those that have pinned it are asked to let go.</summary>
    private void RefuseAccess(IovaArea area)
    {
        CountRestricted(area);
        area.PreventAccess = true;
    }

    /// <summary>An area has been made: everybody may see it. The caller holds the lock.</summary>
    private void EndBusy(IovaArea area)
    {
        area.IsBusy = false;
        Volatile.Write(ref _restricted, _restricted - (area.IsRestricted ? 0 : 1));
    }

    /// <summary>An area has left the index. The caller holds the lock.</summary>
    private void ForgetRestriction(IovaArea area) => Volatile.Write(ref _restricted, _restricted - (area.IsRestricted ? 1 : 0));

    private void CountRestricted(IovaArea area) => Volatile.Write(ref _restricted, _restricted + (area.IsRestricted ? 0 : 1));

    private ref int Counter(int phase) => ref _cursors[(phase + 1) * CounterSpacing];
}
