namespace Vfio.User;

/// <summary>
/// How long it pays to look for the next message before sleeping: nothing while messages are far apart, more when a short look longer would have found
/// the last one (as <c>halt_poll_ns</c> of KVM grows and shrinks), and nothing for a while when the longest looks find nothing either: then it is the
/// looking that keeps the messages away, because the client has the same processor.
/// </summary>
/// <param name="longest">The most; <see cref="Timeout.InfiniteTimeSpan"/> to look for ever.</param>
internal struct SpinBudget(TimeSpan longest)
{
    /// <summary>So many looks in vain, one after another, are enough.</summary>
    private const int MostInVain = 8;

    private const int ShortestPause = 64;
    private const int LongestPause = 4096;
    private static readonly TimeSpan s_first = TimeSpan.FromMicroseconds(10);
    private readonly TimeSpan _longest = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;
    private int _inVain;
    private int _pause = ShortestPause;
    private int _paused;

    /// <summary>How long to look now.</summary>
    public TimeSpan Budget { get; private set; } = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;

    /// <summary>A message was found by looking, not at once.</summary>
    public void Found()
    {
        _inVain = 0;
        _pause = ShortestPause;
    }

    /// <summary>Looking found nothing, and sleeping lasted so long.</summary>
    /// <param name="time">The time asleep.</param>
    public void Slept(TimeSpan time)
    {
        if (_paused > 0)
        {
            _paused--;
            return;
        }

        if (time > _longest)
        {
            Budget /= 2;
            Budget = Budget < s_first ? TimeSpan.Zero : Budget;
            _inVain = 0;
        }
        else if (++_inVain > MostInVain)
        {
            Budget = TimeSpan.Zero;
            _inVain = 0;
            _paused = _pause;
            _pause = Math.Min(_pause * 2, LongestPause);
        }
        else
        {
            Budget = Budget >= _longest / 2 ? _longest : Budget < s_first ? s_first : Budget * 2;
        }
    }
}
