namespace Vfio.Iommu;

/// <summary>What one process keeps in place for devices: its own counters, and its user's.</summary>
/// <remarks>Safe for concurrent use.</remarks>
/// <param name="user">The account of the user, which all of its processes share.</param>
/// <param name="limit">The process's own limit in pages of 4096 bytes.</param>
public sealed class ProcessMemoryAccount(LockedMemoryAccount user, long limit = long.MaxValue)
{
    private long _pinned;

    /// <summary>The account of the process's user.</summary>
    public LockedMemoryAccount User { get; } = user;

    /// <summary>The pages charged to the process itself (<c>VmLck</c>).</summary>
    public LockedMemoryAccount Locked { get; } = new(limit);

    /// <summary>All pages of the process that are pinned, charged or not (<c>VmPin</c>).</summary>
    public long PinnedPages => Volatile.Read(ref _pinned);

    /// <summary>Charges pages to the account that a mode names.</summary>
    /// <returns>False, and nothing charged, when the limit forbids it.</returns>
    internal bool TryCharge(AccountingMode mode, long pages)
    {
        bool charged = mode switch
        {
            AccountingMode.User => User.TryCharge(pages),
            AccountingMode.Process => Locked.TryCharge(pages),
            _ => true,
        };
        if (charged)
        {
            Interlocked.Add(ref _pinned, pages);
        }

        return charged;
    }

    internal void Uncharge(AccountingMode mode, long pages)
    {
        Interlocked.Add(ref _pinned, -pages);
        switch (mode)
        {
            case AccountingMode.User:
                User.Uncharge(pages);
                break;
            case AccountingMode.Process:
                Locked.Uncharge(pages);
                break;
        }
    }
}
