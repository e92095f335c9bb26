using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class EventLoopTests
{
    private const int Patience = 10_000;

    [Fact]
    public void Register_calls_back_on_the_named_thread()
    {
        using DescriptorLeakGuard guard = new();
        using EventFd eventFd = new();
        using EventLoop loop = new("test loop");
        using ManualResetEventSlim called = new();
        string? name = null;
        EventLoopEvents found = EventLoopEvents.None;
        bool onLoop = false;

        using IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, events =>
        {
            eventFd.TryConsume(out _);
            found = events;
            name = Thread.CurrentThread.Name;
            onLoop = loop.IsCurrentThread && Thread.CurrentThread.IsBackground;
            called.Set();
        });
        Assert.False(called.IsSet);
        eventFd.Signal();

        Assert.True(called.Wait(Patience));
        Assert.Equal("test loop", name);
        Assert.Equal(EventLoopEvents.Read, found);
        Assert.True(onLoop);
        Assert.False(loop.IsCurrentThread);
    }

    [Fact]
    public void Loop_without_registration_has_no_thread_and_no_descriptors()
    {
        using DescriptorLeakGuard guard = new();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        using EventLoop loop = new();

        Assert.Equal(before, Directory.GetFiles("/proc/self/fd").Length);
    }

    [Fact]
    public void Dispose_registration_waits_for_the_running_callback()
    {
        using EventFd eventFd = new(1);
        using EventLoop loop = new();
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim leave = new();
        bool finished = false;
        IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ =>
        {
            entered.Set();
            leave.Wait();
            Volatile.Write(ref finished, true);
        });
        Assert.True(entered.Wait(Patience));

        Thread disposer = new(registration.Dispose);
        disposer.Start();
        Assert.False(disposer.Join(50));
        leave.Set();

        Assert.True(disposer.Join(Patience));
        Assert.True(Volatile.Read(ref finished));
    }

    [Fact]
    public void Dispose_registration_is_the_end_of_callbacks()
    {
        using EventLoop loop = new();
        for (int i = 0; i < 500; i++)
        {
            // Always ready, so that the loop is in the callback nearly all the time.
            using EventFd eventFd = new(1);
            bool disposed = false;
            int late = 0;
            IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ =>
            {
                if (Volatile.Read(ref disposed))
                {
                    Interlocked.Increment(ref late);
                }
            });
            Thread.SpinWait(1000);
            registration.Dispose();
            Volatile.Write(ref disposed, true);
            Thread.SpinWait(1000);

            Assert.Equal(0, Volatile.Read(ref late));
        }

        Assert.Equal(0, loop.Count);
    }

    [Fact]
    public void Dispose_registration_from_its_callback_is_allowed()
    {
        using EventFd eventFd = new(1);
        using EventLoop loop = new();
        using ManualResetEventSlim called = new();
        int count = 0;
        IDisposable? registration = null;
        using ManualResetEventSlim registered = new();
        registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ =>
        {
            registered.Wait();
            count++;
            registration!.Dispose();
            called.Set();
        });
        registered.Set();

        Assert.True(called.Wait(Patience));
        Thread.Sleep(20);
        Assert.Equal(1, count);
        registration.Dispose();
    }

    [Fact]
    public void Throwing_callback_is_reported_and_others_go_on()
    {
        using EventFd bad = new();
        using EventFd good = new();
        Exception? reported = null;
        using EventLoop loop = new("reporting", exception => reported = exception);
        using ManualResetEventSlim called = new();
        using IDisposable first = loop.Register(bad.Descriptor, EventLoopEvents.Read, _ =>
        {
            bad.TryConsume(out ulong _);
            throw new InvalidTimeZoneException("mine");
        });
        using IDisposable second = loop.Register(good.Descriptor, EventLoopEvents.Read, _ =>
        {
            good.TryConsume(out ulong _);
            called.Set();
        });

        bad.Signal();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref reported) is not null, Patience));
        good.Signal();

        Assert.True(called.Wait(Patience));
        Assert.IsType<InvalidTimeZoneException>(reported);
    }

    [Fact]
    public void Callback_may_register()
    {
        using EventFd outer = new(1);
        using EventFd inner = new(1);
        using EventLoop loop = new();
        using ManualResetEventSlim called = new();
        IDisposable? nested = null;
        IDisposable first = loop.Register(outer.Descriptor, EventLoopEvents.Read, _ =>
        {
            outer.TryConsume(out ulong _);
            nested = loop.Register(inner.Descriptor, EventLoopEvents.Read, _ =>
            {
                inner.TryConsume(out ulong _);
                called.Set();
            });
        });

        Assert.True(called.Wait(Patience));
        first.Dispose();
        nested!.Dispose();
    }

    [Fact]
    public void TryRegister_refusals_are_error_numbers()
    {
        using DescriptorLeakGuard guard = new();
        using MemFd memory = new("regular", 0);
        using EventFd eventFd = new();
        using EventLoop loop = new();
        using IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ => { });

        Assert.Equal(Errno.EPERM, loop.TryRegister(memory.Descriptor, EventLoopEvents.Read, _ => { }, out IDisposable? refused));
        Assert.Null(refused);
        Assert.Equal(Errno.EEXIST, loop.TryRegister(eventFd.Descriptor, EventLoopEvents.Read, _ => { }, out _));
        Assert.Throws<LinuxException>(() => loop.Register(memory.Descriptor, EventLoopEvents.Read, _ => { }));
        Assert.Equal(1, loop.Count);
    }

    [Fact]
    public void Registered_descriptor_stays_open_until_the_registration_ends()
    {
        using EventLoop loop = new();
        EventFd eventFd = new();
        IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ => { });
        string path = $"/proc/self/fd/{eventFd.Descriptor.Number}";

        eventFd.Dispose();
        Assert.Equal("anon_inode:[eventfd]", new FileInfo(path).LinkTarget);
        registration.Dispose();

        Assert.NotEqual("anon_inode:[eventfd]", new FileInfo(path).LinkTarget);
    }

    [Fact]
    public void HangUp_is_reported_without_asking()
    {
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using EventLoop loop = new();
        using ManualResetEventSlim called = new();
        EventLoopEvents found = EventLoopEvents.None;
        using (first)
        {
            using IDisposable registration = loop.Register(first.Descriptor, EventLoopEvents.None, events =>
            {
                found = events;
                called.Set();
            });
            second.Dispose();

            Assert.True(called.Wait(Patience));
        }

        Assert.Equal(EventLoopEvents.HangUp, found & EventLoopEvents.HangUp);
    }

    [Fact]
    public void Dispose_loop_ends_registrations_and_releases_descriptors()
    {
        using DescriptorLeakGuard guard = new();
        using EventFd eventFd = new(1);
        EventLoop loop = new();
        int calls = 0;
        IDisposable registration = loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ => Interlocked.Increment(ref calls));

        loop.Dispose();
        int after = Volatile.Read(ref calls);
        Thread.Sleep(20);

        Assert.Equal(after, Volatile.Read(ref calls));
        registration.Dispose();
        loop.Dispose();
        Assert.Throws<ObjectDisposedException>(() => loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ => { }));
    }

    [Fact]
    public void Dispose_loop_from_a_callback_releases_descriptors()
    {
        using DescriptorLeakGuard guard = new();
        using EventFd eventFd = new(1);
        EventLoop loop = new();
        using ManualResetEventSlim called = new();
        loop.Register(eventFd.Descriptor, EventLoopEvents.Read, _ =>
        {
            loop.Dispose();
            called.Set();
        });

        Assert.True(called.Wait(Patience));
    }

    [Fact]
    public void Many_descriptors_are_all_served()
    {
        const int Count = 200;
        using DescriptorLeakGuard guard = new();
        using EventLoop loop = new();
        EventFd[] eventFds = [.. Enumerable.Range(0, Count).Select(_ => new EventFd())];
        int[] calls = new int[Count];
        IDisposable[] registrations = [.. Enumerable.Range(0, Count).Select(i => loop.Register(eventFds[i].Descriptor, EventLoopEvents.Read, _ =>
        {
            eventFds[i].TryConsume(out ulong _);
            Interlocked.Increment(ref calls[i]);
        }))];

        foreach (EventFd eventFd in eventFds)
        {
            eventFd.Signal();
        }

        Assert.True(SpinWait.SpinUntil(() => Array.TrueForAll(calls, count => count == 1), Patience));
        foreach (IDisposable item in (IEnumerable<IDisposable>)[.. registrations, .. eventFds])
        {
            item.Dispose();
        }
    }
}
