namespace Vfio.Iommu;

/// <summary>How much memory a user or a process keeps in place for devices, and how much it may (<c>RLIMIT_MEMLOCK</c>).</summary>
/// <remarks>May be shared between hosts, contexts and processes. Safe for concurrent use.</remarks>
public sealed class LockedMemoryAccount
{
    private readonly long _limit;
    private long _pages;

    /// <summary>Opens an account.</summary>
    /// <param name="limit">The most pages of 4096 bytes; callers with <see cref="CallerCapabilities.IpcLock"/> are exempt.</param>
    public LockedMemoryAccount(long limit = long.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(limit);
        _limit = limit;
    }

    /// <summary>The pages charged now.</summary>
    public long Pages => Volatile.Read(ref _pages);

    /// <summary>Charges pages.</summary>
    /// <param name="pages">How many.</param>
    /// <param name="exempt">Whether the limit does not apply.</param>
    /// <returns>False, and nothing charged, when that would pass the limit.</returns>
    public bool TryCharge(long pages, bool exempt = false)
    {
        long now = Interlocked.Add(ref _pages, pages);
        if (exempt || now <= _limit)
        {
            return true;
        }

        Interlocked.Add(ref _pages, -pages);
        return false;
    }

    /// <summary>Gives charged pages back.</summary>
    /// <param name="pages">How many.</param>
    public void Uncharge(long pages) => Interlocked.Add(ref _pages, -pages);
}
