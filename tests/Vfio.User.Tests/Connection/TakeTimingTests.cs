using Microsoft.Extensions.Time.Testing;

namespace Vfio.User.Tests.Connection;

public sealed class TakeTimingTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly TakeTiming _timing;

    public TakeTimingTests() => _timing = new TakeTiming(_time);

    [Theory]
    [InlineData(TakeTime.AtOnce)]
    [InlineData(TakeTime.BeforeAnswer)]
    [InlineData(TakeTime.AfterAnswer)]
    [InlineData(TakeTime.LastByteAfterAnswer)]
    internal void Time_that_costs_least_is_kept(TakeTime best)
    {
        RunRound(when => when == best ? 80 : 100);
        Assert.Equal(best, _timing.Current);
        for (int i = 0; i < TakeTiming.Settled - 1; i++)
        {
            Answer(100);
            Assert.Equal(best, _timing.Current);
        }
    }

    [Fact]
    public void Little_better_is_no_reason_to_change()
    {
        RunRound(when => when == TakeTime.BeforeAnswer ? 80 : 100);
        Settle();
        RunRound(when => when == TakeTime.BeforeAnswer ? 100 : 98);
        Assert.Equal(TakeTime.BeforeAnswer, _timing.Current);
        Settle();
        RunRound(when => when == TakeTime.AtOnce ? 90 : 100);
        Assert.Equal(TakeTime.AtOnce, _timing.Current);
    }

    [Fact]
    public void Trials_that_were_disturbed_do_not_count_more_than_others()
    {
        int trial = 0;
        RunRound(when => when == TakeTime.AfterAnswer ? trial++ < 2 * TakeTiming.TrialLength ? 1000 : 80 : 100);
        Assert.Equal(TakeTime.AfterAnswer, _timing.Current);
    }

    [Fact]
    public void What_takes_several_messages_at_once_is_judged_by_the_message()
    {
        RunRound(when => when == TakeTime.BeforeAnswer ? 800 : 100, when => when == TakeTime.BeforeAnswer ? 16 : 1);
        Assert.Equal(TakeTime.BeforeAnswer, _timing.Current);
    }

    [Fact]
    public void Trial_in_which_the_server_slept_is_repeated()
    {
        WarmUp();
        for (int i = 0; i < 10 * TakeTiming.TrialLength; i++)
        {
            _timing.Slept();
            Answer(100_000);
            Assert.Equal(TakeTime.AtOnce, _timing.Current);
        }

        AnswerMany(TakeTiming.TrialLength, 100);
        Assert.Equal(TakeTime.BeforeAnswer, _timing.Current);
    }

    private void WarmUp() => AnswerMany(TakeTiming.TrialLength, 1000);

    private void Settle() => AnswerMany(TakeTiming.Settled - TakeTiming.TrialLength, 100);

    private void RunRound(Func<TakeTime, int> cost, Func<TakeTime, int>? messages = null)
    {
        WarmUp();
        for (int i = 0; i < 4 * TakeTiming.Turns * TakeTiming.TrialLength; i++)
        {
            TakeTime current = _timing.Current;
            Answer(cost(current), messages?.Invoke(current) ?? 1);
        }
    }

    private void AnswerMany(int count, int cost)
    {
        for (int i = 0; i < count; i++)
        {
            Answer(cost);
        }
    }

    private void Answer(int cost, int messages = 1)
    {
        _time.Advance(TimeSpan.FromTicks(cost));
        _timing.Answered(messages);
    }
}
