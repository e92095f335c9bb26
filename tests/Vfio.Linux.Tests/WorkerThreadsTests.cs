using System.Collections.Concurrent;
using Vfio.Abi;

namespace Vfio.Linux.Tests;

public sealed class WorkerThreadsTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    [Fact]
    public void TryRun_never_waits_for_a_thread_that_works()
    {
        using WorkerThreads threads = new();
        using CountdownEvent all = new(50);
        using ManualResetEventSlim go = new();
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(Errno.None, threads.TryRun(() =>
            {
                all.Signal();
                go.Wait();
            }));
        }

        Assert.True(all.Wait(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal((50, 50), (threads.Count, threads.Busy));
        go.Set();
        Assert.True(SpinWait.SpinUntil(() => threads.Busy == 0, s_patience));
    }

    [Fact]
    public void TryRun_one_after_the_other_uses_one_thread()
    {
        using WorkerThreads threads = new("lent");
        ConcurrentBag<(int, string?)> seen = [];
        for (int i = 1; i <= 20; i++)
        {
            threads.TryRun(() => seen.Add((Environment.CurrentManagedThreadId, Thread.CurrentThread.Name)));
            Assert.True(SpinWait.SpinUntil(() => seen.Count == i && threads.Busy == 0, s_patience));
        }

        Assert.Equal("lent", Assert.Single(seen.Distinct()).Item2);
    }

    [Fact]
    public void Idle_threads_end_after_a_while_and_work_that_comes_at_that_moment_is_done()
    {
        using WorkerThreads threads = new(keep: TimeSpan.FromMilliseconds(5));
        int done = 0;
        for (int i = 1; i <= 100; i++)
        {
            Assert.Equal(Errno.None, threads.TryRun(() => Interlocked.Increment(ref done)));
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref done) == i, s_patience));
            Thread.Sleep(5);
        }

        Assert.True(SpinWait.SpinUntil(() => threads.Count == 0, s_patience));
    }

    [Fact]
    public void Dispose_ends_idle_threads_now_and_busy_ones_when_they_have_finished()
    {
        WorkerThreads threads = new();
        using ManualResetEventSlim go = new();
        threads.TryRun(go.Wait);
        threads.TryRun(static () => { });
        Assert.True(SpinWait.SpinUntil(() => threads.Busy == 1, s_patience));
        threads.Dispose();
        threads.Dispose();
        Assert.Equal(1, threads.Count);
        go.Set();
        Assert.True(SpinWait.SpinUntil(() => threads.Count == 0, s_patience));
    }
}
