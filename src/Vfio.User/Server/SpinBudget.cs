namespace Vfio.User;

/// <summary>
/// How long it pays to look for the next message before sleeping: nothing while messages are far apart, more when a short look longer would have found
/// the last one (as <c>halt_poll_ns</c> of KVM grows and shrinks).
/// </summary>
/// <param name="longest">The most; <see cref="Timeout.InfiniteTimeSpan"/> to look for ever.</param>
internal struct SpinBudget(TimeSpan longest)
{
    private static readonly TimeSpan s_first = TimeSpan.FromMicroseconds(10);
    private readonly TimeSpan _longest = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;

    /// <summary>How long to look now.</summary>
    public TimeSpan Budget { get; private set; } = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;

    /// <summary>Looking found nothing, and sleeping lasted so long.</summary>
    /// <param name="time">The time asleep.</param>
    public void Slept(TimeSpan time)
    {
        if (time <= _longest)
        {
            Budget = Budget >= _longest / 2 ? _longest : Budget < s_first ? s_first : Budget * 2;
        }
        else
        {
            Budget /= 2;
            Budget = Budget < s_first ? TimeSpan.Zero : Budget;
        }
    }
}
