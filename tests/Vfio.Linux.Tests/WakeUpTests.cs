using System.Diagnostics;
using Xunit;

namespace Vfio.Linux.Tests;

public sealed class WakeUpTests
{
    [Fact]
    public void Wait_given_before_ends_at_once_and_only_once()
    {
        using WakeUp wakeUp = new();
        wakeUp.Give();

        wakeUp.Wait();

        Assert.False(wakeUp.Wait(TimeSpan.Zero));
    }

    [Fact]
    public void Wait_limited_ends_after_the_time()
    {
        using WakeUp wakeUp = new();
        long started = Stopwatch.GetTimestamp();

        bool given = wakeUp.Wait(TimeSpan.FromMilliseconds(1100));

        Assert.False(given);
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 1000, 60_000);
    }

    [Fact]
    public void Give_from_another_thread_ends_each_wait()
    {
        const int Rounds = 20_000;
        using WakeUp ping = new();
        using WakeUp pong = new();
        Thread other = new(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                ping.Wait();
                pong.Give();
            }
        });
        other.Start();

        for (int i = 0; i < Rounds; i++)
        {
            ping.Give();
            Assert.True(pong.Wait(TimeSpan.FromMinutes(1)));
        }

        other.Join();
    }
}
