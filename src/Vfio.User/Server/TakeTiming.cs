namespace Vfio.User;

/// <summary>
/// Finds by trying when it is best to take messages out of a socket. What is best depends on whether the client sleeps, on how fast the machine wakes it up, on how far
/// apart the two processors are, and on how long its requests take: a factor of up to 1.5 between them, and none of them is always the best.
/// </summary>
/// <remarks>
/// In turn each time is kept for a few answers, several turns of each, so that what changes meanwhile changes for all; the one with the least median is kept for
/// many. A trial in which the server slept tells how long the client took, and is repeated. Belongs to the thread that serves the client.
/// </remarks>
/// <param name="time">Measures.</param>
internal sealed class TakeTiming(TimeProvider time)
{
    /// <summary>Answers in one trial.</summary>
    public const int TrialLength = 32;

    /// <summary>Trials of each time.</summary>
    public const int Turns = 5;

    /// <summary>Answers between two rounds of trials, which are 4 per cent of all then.</summary>
    public const int Settled = 16 * 1024;

    private const int Times = 4;

    /// <summary>Another time must be better by this to be worth a change.</summary>
    private const double Margin = 0.97;

    private readonly double[] _costs = new double[Times * Turns];
    private TakeTime _best;
    private int _trial = -1;
    private int _left = TrialLength;
    private bool _slept;
    private long _started;
    private long _messages;

    /// <summary>When to take the messages that come next.</summary>
    public TakeTime Current { get; private set; }

    /// <summary>The thread has slept, because nothing came.</summary>
    public void Slept() => _slept = true;

    /// <summary>What had arrived is answered.</summary>
    /// <param name="messages">How many messages it was.</param>
    public void Answered(int messages)
    {
        _messages += messages;
        if (--_left <= 0)
        {
            Advance();
        }
    }

    private void Advance()
    {
        long now = time.GetTimestamp();
        if (_trial < 0)
        {
            _trial = 0;
        }
        else if (!_slept)
        {
            _costs[_trial++] = (double)(now - _started) / _messages;
        }

        _slept = false;
        _started = now;
        _messages = 0;
        _left = TrialLength;
        if (_trial < _costs.Length)
        {
            Current = (TakeTime)(_trial % Times);
            return;
        }

        Current = _best = Choose();
        _trial = -1;
        _left = Settled;
    }

    private TakeTime Choose()
    {
        TakeTime best = _best;
        double least = Cost(best) * Margin;
        for (TakeTime candidate = TakeTime.AtOnce; candidate <= TakeTime.LastByteAfterAnswer; candidate++)
        {
            double cost = Cost(candidate);
            if (cost < least)
            {
                (best, least) = (candidate, cost);
            }
        }

        return best;
    }

    /// <summary>The median of its trials.</summary>
    private double Cost(TakeTime candidate)
    {
        Span<double> costs = stackalloc double[Turns];
        for (int i = 0; i < Turns; i++)
        {
            costs[i] = _costs[(i * Times) + (int)candidate];
        }

        costs.Sort();
        return costs[Turns / 2];
    }
}
