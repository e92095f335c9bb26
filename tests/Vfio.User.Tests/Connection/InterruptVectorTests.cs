using System.Runtime.CompilerServices;
using Vfio.Testing;

namespace Vfio.User.Tests.Connection;

/// <summary>Interrupts as a driver takes them. The eventfd is signalled by hand: what is behind it does not matter here.</summary>
public sealed class InterruptVectorTests : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly DevicePair<NoticingDevice> _pair = DevicePair.Local(static () => new NoticingDevice());
    private InterruptSet? _set;

    private InterruptVector Vector => _set![0];

    public ValueTask InitializeAsync()
    {
        _set = _pair.Connection.EnableInterrupts(PciInterrupt.Msi, 2);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        _set!.Dispose();
        await _pair.DisposeAsync();
    }

    [Fact]
    public async Task WaitAsync_takes_what_came_before_in_one()
    {
        Vector.EventFd.Signal();
        Vector.EventFd.Signal(2);
        ulong count = await Vector.WaitAsync(TestContext.Current.CancellationToken);
        while (count < 3)
        {
            count += await Vector.WaitAsync(TestContext.Current.CancellationToken);
        }

        Assert.Equal(3u, count);
    }

    [Fact]
    public async Task WaitAsync_that_was_cancelled_loses_no_interrupt()
    {
        for (int i = 0; i < 200; i++)
        {
            using CancellationTokenSource stop = new();
            ValueTask<ulong> wait = Vector.WaitAsync(stop.Token);
            Task cancel = Task.Run(stop.Cancel, TestContext.Current.CancellationToken);
            Vector.EventFd.Signal();
            ulong count = 0;
            try
            {
                count = await wait;
            }
            catch (OperationCanceledException exception)
            {
                Assert.Equal(stop.Token, exception.CancellationToken);
                count = await Vector.WaitAsync(TestContext.Current.CancellationToken);
            }

            Assert.Equal(1u, count);
            await cancel;
        }
    }

    [Fact]
    public async Task WaitAsync_with_a_cancelled_token_is_cancelled_and_with_two_waiters_refused()
    {
        _ = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Vector.WaitAsync(new CancellationToken(canceled: true)).AsTask());
        Task<ulong> first = Vector.WaitAsync(TestContext.Current.CancellationToken).AsTask();
        _ = Assert.Throws<InvalidOperationException>(() => { _ = Vector.WaitAsync(TestContext.Current.CancellationToken); });
        _ = Assert.Throws<InvalidOperationException>(() => Vector.Register(static () => { }));
        Vector.EventFd.Signal();
        Assert.Equal(1u, await first);
    }

    [Fact]
    public async Task WaitAsync_allocates_nothing()
    {
        async Task<long> Measure(int rounds)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < rounds; i++)
            {
                ValueTask<ulong> wait = Vector.WaitAsync();
                Vector.EventFd.Signal();
                _ = await wait.ConfigureAwait(false);
            }

            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }

        // Pools grow once, and another thread of this process may allocate: what counts is that there is a round without.
        long least = long.MaxValue;
        for (int i = 0; i < 20 && least >= 2000; i++)
        {
            least = Math.Min(least, await Measure(1000));
        }

        Assert.True(least < 2000, $"{least} bytes in 1000 waits");
    }

    [Fact]
    public void Register_calls_for_each_interrupt_until_it_is_disposed()
    {
        using SemaphoreSlim called = new(0);
        int calls = 0;
        IDisposable registration = Vector.Register(() =>
        {
            calls++;
            called.Release();
        });
        for (int i = 1; i <= 100; i++)
        {
            Vector.EventFd.Signal();
            Assert.True(called.Wait(s_patience, TestContext.Current.CancellationToken));
            Assert.Equal(i, calls);
        }

        _ = Assert.Throws<InvalidOperationException>(() => { _ = Vector.WaitAsync(TestContext.Current.CancellationToken); });
        registration.Dispose();
        registration.Dispose();
        Assert.False(Vector.EventFd.TryConsume(out _));
        Vector.EventFd.Signal();
        Assert.Equal(100, calls);
    }

    [Fact]
    public async Task Register_disposed_from_its_callback_does_not_wait_for_itself_and_the_vector_can_be_awaited()
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        StrongBox<IDisposable> registration = new();
        using ManualResetEventSlim assigned = new();
        registration.Value = Vector.Register(() =>
        {
            assigned.Wait();
            registration.Value!.Dispose();
            done.SetResult();
        });
        assigned.Set();
        Vector.EventFd.Signal();
        await done.Task.WaitAsync(s_patience, TestContext.Current.CancellationToken);
        ValueTask<ulong> wait = Vector.WaitAsync(TestContext.Current.CancellationToken);
        Vector.EventFd.Signal();
        Assert.Equal(1u, await wait);
    }

    [Fact]
    public async Task Dispose_ends_a_wait_as_cancelled()
    {
        Task<ulong> wait = _set![1].WaitAsync(TestContext.Current.CancellationToken).AsTask();
        _set.Dispose();
        _ = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait.WaitAsync(s_patience));
    }
}
