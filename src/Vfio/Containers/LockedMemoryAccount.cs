namespace Vfio;

/// <summary>How much memory a user keeps in place through containers, and how much it may (<c>RLIMIT_MEMLOCK</c>).</summary>
/// <remarks>May be shared between hosts. Safe for concurrent use.</remarks>
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

    internal bool TryCharge(long pages, bool exempt)
    {
        long now = Interlocked.Add(ref _pages, pages);
        if (exempt || now <= _limit)
        {
            return true;
        }

        Interlocked.Add(ref _pages, -pages);
        return false;
    }

    internal void Uncharge(long pages) => Interlocked.Add(ref _pages, -pages);
}
