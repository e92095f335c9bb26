namespace Vfio.User;

/// <summary>
/// How long it pays to look for the next message before sleeping: nothing while messages are far apart, more when a short look longer would have found
/// the last one (as <c>halt_poll_ns</c> of KVM grows and shrinks), and nothing for a while when the longest looks find nothing either: then it is the
/// looking that keeps the messages away, because the client has the same processor. Longer than the longest for a client whose messages keep coming: how fast the machine
/// wakes it up varies, and a server that has gone to sleep by then must be woken up itself.
/// </summary>
/// <param name="longest">The most, but for the last case; <see cref="Timeout.InfiniteTimeSpan"/> to look for ever.</param>
internal struct SpinBudget(TimeSpan longest)
{
    /// <summary>So many looks in vain, one after another, are enough.</summary>
    private const int MostInVain = 8;

    /// <summary>So many found, one after another, are messages that keep coming: looks are <see cref="Patience"/> times as long.</summary>
    private const int ManyFound = 8;

    private const int Patience = 4;

    private const int ShortestPause = 64;
    private const int LongestPause = 4096;
    private static readonly TimeSpan s_first = TimeSpan.FromMicroseconds(10);
    private readonly TimeSpan _longest = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;
    private TimeSpan _usual = longest == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : longest;
    private int _found;
    private int _inVain;
    private int _pause = ShortestPause;
    private int _paused;

    /// <summary>How long to look now.</summary>
    public readonly TimeSpan Budget => _found < ManyFound || _usual > TimeSpan.MaxValue / Patience ? _usual : _usual * Patience;

    /// <summary>A message was found by looking, not at once.</summary>
    public void Found()
    {
        _found = Math.Min(_found + 1, ManyFound);
        _inVain = 0;
        _pause = ShortestPause;
    }

    /// <summary>Looking found nothing, and sleeping lasted so long.</summary>
    /// <param name="time">The time asleep.</param>
    public void Slept(TimeSpan time)
    {
        _found = 0;
        if (_paused > 0)
        {
            _paused--;
            return;
        }

        if (time > _longest)
        {
            _usual /= 2;
            _usual = _usual < s_first ? TimeSpan.Zero : _usual;
            _inVain = 0;
        }
        else if (++_inVain > MostInVain)
        {
            _usual = TimeSpan.Zero;
            _inVain = 0;
            _paused = _pause;
            _pause = Math.Min(_pause * 2, LongestPause);
        }
        else
        {
            _usual = _usual >= _longest / 2 ? _longest : _usual < s_first ? s_first : _usual * 2;
        }
    }
}
