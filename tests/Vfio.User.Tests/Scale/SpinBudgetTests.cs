namespace Vfio.User.Tests.Scale;

public sealed class SpinBudgetTests
{
    private static readonly TimeSpan s_longest = TimeSpan.FromMicroseconds(100);

    [Fact]
    public void Budget_shrinks_to_nothing_for_messages_that_are_far_apart_and_grows_back_to_the_longest()
    {
        SpinBudget spin = new(s_longest);
        Assert.Equal(s_longest, spin.Budget);
        for (int i = 0; i < 5; i++)
        {
            spin.Slept(TimeSpan.FromMilliseconds(5));
        }

        Assert.Equal(TimeSpan.Zero, spin.Budget);
        for (int i = 0; i < 10; i++)
        {
            TimeSpan before = spin.Budget;
            spin.Slept(TimeSpan.FromMicroseconds(50));
            Assert.True(spin.Budget > before || before == s_longest);
        }

        Assert.Equal(s_longest, spin.Budget);
    }

    [Fact]
    public void Budget_of_for_ever_stays_for_ever()
    {
        SpinBudget spin = new(Timeout.InfiniteTimeSpan);
        spin.Slept(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.MaxValue, spin.Budget);
    }

    [Fact]
    public void Budget_of_nothing_stays_nothing()
    {
        SpinBudget spin = new(TimeSpan.Zero);
        spin.Slept(TimeSpan.Zero);
        Assert.Equal(TimeSpan.Zero, spin.Budget);
    }
}
