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
        for (int i = 0; i < 8; i++)
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

    [Fact]
    public void Budget_is_nothing_for_longer_and_longer_while_the_longest_looks_find_nothing()
    {
        SpinBudget spin = new(s_longest);
        List<int> pauses = [];
        for (int looks = 0, paused = 0; pauses.Count < 9; looks++)
        {
            Assert.True(looks < 100_000, "It ends.");
            spin.Slept(TimeSpan.FromMicroseconds(5));
            if (spin.Budget == TimeSpan.Zero)
            {
                paused++;
            }
            else if (paused > 0)
            {
                pauses.Add(paused);
                paused = 0;
            }
        }

        Assert.Equal([65, 129, 257, 513, 1025, 2049, 4097, 4097, 4097], pauses);

        // One that is found makes it hopeful again.
        spin.Found();
        for (int i = 0; i < 8; i++)
        {
            spin.Slept(TimeSpan.FromMicroseconds(5));
            Assert.NotEqual(TimeSpan.Zero, spin.Budget);
        }
    }

    [Fact]
    public void Budget_of_a_client_that_is_found_now_and_then_stays()
    {
        SpinBudget spin = new(s_longest);
        for (int i = 0; i < 1000; i++)
        {
            spin.Slept(TimeSpan.FromMicroseconds(5));
            spin.Slept(TimeSpan.FromMicroseconds(5));
            spin.Found();
            Assert.NotEqual(TimeSpan.Zero, spin.Budget);
        }
    }

    [Fact]
    public void Budget_of_a_client_whose_messages_keep_coming_is_four_times_the_longest_until_a_look_in_vain()
    {
        SpinBudget spin = new(s_longest);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(s_longest, spin.Budget);
            spin.Found();
        }

        Assert.Equal(4 * s_longest, spin.Budget);
        spin.Slept(TimeSpan.FromMicroseconds(5));
        Assert.Equal(s_longest, spin.Budget);
        spin.Slept(TimeSpan.FromMilliseconds(5));
        Assert.Equal(s_longest / 2, spin.Budget);
    }
}
