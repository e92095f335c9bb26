using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

public sealed class DeviceWorkTests
{
    [Fact]
    public async Task Runs_never_overlap_and_none_is_lost()
    {
        await using PciRig rig = new(_ => { });
        int inside = 0;
        int overlaps = 0;
        int seen = 0;
        int wanted = 0;
        DeviceWork work = rig.Device.CreateWork("w", _ =>
        {
            if (Interlocked.Increment(ref inside) != 1)
            {
                Interlocked.Increment(ref overlaps);
            }

            Volatile.Write(ref seen, Volatile.Read(ref wanted));
            Interlocked.Decrement(ref inside);
        });

        Parallel.For(0, 4, _ =>
        {
            for (int i = 0; i < 5000; i++)
            {
                Interlocked.Increment(ref wanted);
                work.Schedule();
            }
        });
        SpinWait.SpinUntil(() => !work.IsBusy, 5000);

        Assert.Equal(0, overlaps);
        Assert.Equal(20_000, seen);
    }

    [Fact]
    public async Task Long_running_work_has_a_thread_of_its_own_and_ends_with_the_last_user()
    {
        await using PciRig rig = new(_ => { });
        bool fromPool = true;
        int runs = 0;
        DeviceWork work = rig.Device.CreateWork(
            "w",
            turn =>
            {
                fromPool = Thread.CurrentThread.IsThreadPoolThread;
                Interlocked.Increment(ref runs);
                while (!turn.IsCancelled)
                {
                    Thread.Sleep(1);
                }
            },
            longRunning: true);

        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref runs) == 1, 5000));
        work.Schedule();
        Assert.True(work.IsBusy);
        work.Cancel();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref runs) == 2, 5000));
        rig.File.Dispose();

        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        Assert.False(fromPool);
    }

    [Fact]
    public async Task Brief_work_runs_on_the_thread_that_answers_once_it_has_answered_and_elsewhere_on_the_pool()
    {
        await using PciRig rig = new(_ => { });
        List<(int Thread, bool IsBrief)> runs = [];
        DeviceWork? work = null;
        work = rig.Device.CreateWork("w", turn =>
        {
            lock (runs)
            {
                runs.Add((Environment.CurrentManagedThreadId, turn.IsBrief));
                if (runs.Count == 1)
                {
                    work!.ScheduleBrief();
                }
            }
        });
        AnsweringThread thread = new();
        thread.Enter();
        work.ScheduleBrief();
        work.ScheduleBrief();
        Assert.True(work.IsBusy);
        Assert.Empty(runs);
        thread.Work();

        // What it asked for itself is for the next time.
        Assert.Single(runs);
        Assert.True(thread.HasWork);
        thread.Work();
        Assert.False(thread.HasWork || work.IsBusy);
        Assert.Equal([(Environment.CurrentManagedThreadId, true), (Environment.CurrentManagedThreadId, true)], runs);

        // One that is not brief goes to the pool from here too, and what is left at the end.
        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        work.ScheduleBrief();
        Assert.True(thread.HasWork);
        thread.Exit();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        work.ScheduleBrief();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        Assert.Equal(5, runs.Count);
        Assert.All(runs.Skip(2), static run => Assert.NotEqual((Environment.CurrentManagedThreadId, true), run));
    }

    [Fact]
    public async Task Brief_work_that_was_left_to_the_thread_that_closes_the_device_is_not_waited_for()
    {
        await using PciRig rig = new(_ => { });
        int runs = 0;
        DeviceWork work = rig.Device.CreateWork("w", _ => runs++);
        AnsweringThread thread = new();
        thread.Enter();
        work.ScheduleBrief();
        long begun = Environment.TickCount64;
        rig.File.Dispose();
        Assert.InRange(Environment.TickCount64 - begun, 0, 2000);
        Assert.False(work.IsBusy || thread.HasWork);
        thread.Work();
        thread.Exit();
        Assert.Equal(0, runs);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Reset_cancels_a_run_under_way_and_what_is_scheduled_and_waits_for_the_end(bool byConfigSpace)
    {
        await using PciRig rig = new(static pci => pci.PciExpress());
        using var started = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        int runs = 0;
        bool cancelled = false;
        bool ended = false;
        DeviceWork work = rig.Device.CreateWork("w", turn =>
        {
            runs++;
            started.Set();
            go.Wait(5000);
            Thread.Sleep(20);
            cancelled = turn.IsCancelled;
            Volatile.Write(ref ended, true);
        });
        work.Schedule();
        Assert.True(started.Wait(5000));
        work.Schedule();
        Task<(Errno Error, bool Ended)> reset = Task.Run(() =>
        {
            if (!byConfigSpace)
            {
                return (rig.File.Reset(), Volatile.Read(ref ended));
            }

            // A function level reset, by the device control register of the PCI Express capability.
            rig.SetConfig(rig.FindCapability(0x10) + 8, 0x8000, 2);
            return (Errno.None, Volatile.Read(ref ended));
        });
        Assert.NotSame(reset, await Task.WhenAny(reset, Task.Delay(50, TestContext.Current.CancellationToken)));
        go.Set();

        Assert.Equal((Errno.None, true), await reset);
        Assert.False(work.IsBusy);
        Assert.True(cancelled);
        Assert.Equal(1, runs);
        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        Assert.Equal(2, runs);
        Assert.False(cancelled);
    }

    [Fact]
    public async Task Reset_says_that_a_run_does_not_end()
    {
        await using PciRig rig = new(static _ => { });
        using var started = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        DeviceWork work = rig.Device.CreateWork("w", _ =>
        {
            started.Set();
            go.Wait(TimeSpan.FromSeconds(20));
        });
        work.Schedule();
        Assert.True(started.Wait(5000));
        long begun = Environment.TickCount64;

        Assert.Equal(Errno.ETIMEDOUT, rig.File.Reset());
        Assert.InRange(Environment.TickCount64 - begun, 900, 4000);
        go.Set();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
        Assert.Equal(Errno.None, rig.File.Reset());
    }

    [Fact]
    public async Task Reset_does_not_wait_for_what_was_asked_for_since()
    {
        await using PciRig rig = new(static _ => { });
        using var go = new ManualResetEventSlim();
        DeviceWork work = rig.Device.CreateWork("w", _ => go.Wait(TimeSpan.FromSeconds(20)));
        work.Cancel();
        work.Schedule();
        Assert.True(work.IsBusy);

        // The run is one of after the reset that a thread is still in.
        Assert.True(work.AwaitCancelled(TimeSpan.Zero));
        go.Set();
        Assert.True(SpinWait.SpinUntil(() => !work.IsBusy, 5000));
    }

    [Fact]
    public async Task Close_waits_for_a_run_that_needs_the_state_lock()
    {
        await using PciRig rig = new(_ => { });
        using var started = new ManualResetEventSlim();
        bool finished = false;
        DeviceWork work = rig.Device.CreateWork("w", _ =>
        {
            started.Set();
            Thread.Sleep(50);
            lock (rig.Device.StateLock)
            {
                finished = true;
            }
        });
        work.Schedule();
        Assert.True(started.Wait(5000));
        rig.Reopen();
        Assert.True(finished);
        Assert.Equal((2, 1), (rig.Device.Opened, rig.Device.Closed));
    }

    [Fact]
    public async Task A_run_that_throws_leaves_the_device_alive()
    {
        await using PciRig rig = new(_ => { });
        int runs = 0;
        DeviceWork work = rig.Device.CreateWork("w", _ =>
        {
            runs++;
            throw new InvalidOperationException("a mistake of the author");
        });
        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => runs == 1 && !work.IsBusy, 5000));
        work.Schedule();
        Assert.True(SpinWait.SpinUntil(() => runs == 2 && !work.IsBusy, 5000));
    }

    [Fact]
    public async Task Delayed_runs_come_later_and_a_reset_forgets_them()
    {
        await using PciRig rig = new(_ => { });
        int runs = 0;
        DeviceWork work = rig.Device.CreateWork("w", _ => Interlocked.Increment(ref runs));
        work.Schedule(TimeSpan.FromMilliseconds(30));
        Assert.Equal(0, runs);
        Assert.True(SpinWait.SpinUntil(() => runs == 1, 5000));
        work.Schedule(TimeSpan.FromMilliseconds(30));
        rig.File.Reset();
        Thread.Sleep(100);
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task Scheduling_allocates_at_most_what_the_thread_pool_queue_does()
    {
        await using PciRig rig = new(_ => { });
        DeviceWork work = rig.Device.CreateWork("w", _ => { });
        Assert.InRange(AllocationMeter.Measure(work.Schedule, 1000, 1000), 0, 4096);
    }
}
