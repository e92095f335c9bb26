using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed partial class EventFdTests
{
    [Fact]
    public void TryConsume_takes_the_sum()
    {
        using EventFd eventFd = new(3);

        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.Equal(Errno.None, eventFd.Signal(10));

        Assert.True(eventFd.TryConsume(out ulong count));
        Assert.Equal(14u, count);
        Assert.False(eventFd.TryConsume(out count));
        Assert.Equal(0u, count);
    }

    [Fact]
    public void Signal_full_counter_counts_as_delivered()
    {
        using EventFd eventFd = new();
        Assert.Equal(Errno.None, eventFd.Signal(ulong.MaxValue - 1));

        Assert.Equal(Errno.None, eventFd.Signal());

        Assert.True(eventFd.TryConsume(out ulong count));
        Assert.Equal(ulong.MaxValue - 1, count);
    }

    [Fact]
    public void Signal_largest_value_is_EINVAL()
    {
        using EventFd eventFd = new();

        Assert.Equal(Errno.EINVAL, eventFd.Signal(ulong.MaxValue));
    }

    [Fact]
    public void Wait_times_out_and_leaves_the_counter()
    {
        using EventFd eventFd = new();

        Assert.False(eventFd.Wait(0));
        Assert.False(eventFd.Wait(5));
        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.True(eventFd.Wait(-1));
        Assert.True(eventFd.TryConsume(out _));
    }

    [Fact]
    public void TryAdopt_blocking_eventfd_stays_so_and_is_never_waited_for()
    {
        FileDescriptor raw = BlockingEventFd.Create();

        Assert.Equal(Errno.None, EventFd.TryAdopt(raw, out EventFd? eventFd));

        using (eventFd)
        {
            Assert.Same(raw, eventFd!.Descriptor);
            Assert.False(eventFd.TryConsume(out _));
            Assert.Equal(Errno.None, eventFd.Signal(ulong.MaxValue - 1));
            Assert.Equal(Errno.None, eventFd.Signal());
            Assert.Equal(Errno.None, raw.TryGetNonBlocking(out bool isNonBlocking));
            Assert.False(isNonBlocking);
            Assert.True(eventFd.TryConsume(out ulong count));
            Assert.Equal(ulong.MaxValue - 1, count);
        }

        Assert.True(raw.IsClosed);
    }

    [Fact]
    public void TryAdopt_refuses_whatever_is_not_an_eventfd()
    {
        using MemFd memory = new("anon_inode:[eventfd]", 8);
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        Assert.Equal(0, MakePipe(out FileDescriptor reading, out FileDescriptor writing));
        using (first)
        using (second)
        using (reading)
        using (writing)
        {
            foreach (FileDescriptor descriptor in (FileDescriptor[])[memory.Descriptor, first.Descriptor, reading, writing])
            {
                Assert.Equal(Errno.EINVAL, EventFd.TryAdopt(descriptor, out EventFd? eventFd));
                Assert.Null(eventFd);
                Assert.False(descriptor.IsClosed);
            }
        }
    }

    [Fact]
    public void Signal_and_TryConsume_allocate_nothing()
    {
        using EventFd eventFd = new();

        Assert.Equal(0, AllocationMeter.Measure(() =>
        {
            eventFd.Signal();
            eventFd.TryConsume(out _);
            eventFd.Wait(0);
        }));
    }

    [Fact]
    public void Signal_from_many_threads_loses_nothing()
    {
        using EventFd eventFd = new();

        Parallel.For(0, 1000, _ => eventFd.Signal());

        Assert.True(eventFd.TryConsume(out ulong count));
        Assert.Equal(1000u, count);
    }

    [Fact]
    public void Signal_of_an_eventfd_that_a_peer_filled_and_made_blocking_ends_and_is_the_last()
    {
        using EventFd eventFd = Shared(out FileDescriptor peer);
        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.Equal(8, peer.Write(BitConverter.GetBytes(ulong.MaxValue - 2)).Value);
        BlockingEventFd.SetMode(peer, isBlocking: true);

        long started = Stopwatch.GetTimestamp();
        Assert.Equal(Errno.ETIMEDOUT, eventFd.Signal());
        TimeSpan first = Stopwatch.GetElapsedTime(started);
        Assert.Equal(Errno.ETIMEDOUT, eventFd.Signal());

        // It did wait, or nothing was tested; and the time is that of two looks, on a machine that does other things too.
        Assert.InRange(first.TotalMilliseconds, 50, 10_000);
        peer.Dispose();
    }

    /// <summary>A peer that waits in reads, as libvfio-user's client, whose counter nobody has a reason to fill.</summary>
    [Fact]
    public void Signal_of_a_blocking_eventfd_that_is_full_waits_once_and_goes_on_when_there_is_room()
    {
        using FileDescriptor peer = BlockingEventFd.Create();
        Assert.Equal(Errno.None, EventFd.TryAdopt(peer.Duplicate(), out EventFd? adopted));
        using EventFd eventFd = adopted!;
        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.Equal(8, peer.Write(BitConverter.GetBytes(ulong.MaxValue - 2)).Value);

        long started = Stopwatch.GetTimestamp();
        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 50, 10_000);
        started = Stopwatch.GetTimestamp();
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(Errno.None, eventFd.Signal());
        }

        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 0, 5000);
        Assert.True(eventFd.TryConsume(out ulong count));
        Assert.Equal(ulong.MaxValue - 1, count);
        Assert.Equal(Errno.None, eventFd.Signal());
        Assert.True(eventFd.TryConsume(out count));
        Assert.Equal(1u, count);
        Assert.Equal(Errno.None, peer.TryGetNonBlocking(out bool isNonBlocking));
        Assert.False(isNonBlocking);
    }

    [Fact]
    public void Signal_ends_while_a_peer_fills_and_flips_the_mode()
    {
        const int Rounds = 20;
        int waited = 0;
        TimeSpan longest = TimeSpan.Zero;
        for (int round = 0; round < Rounds; round++)
        {
            using EventFd eventFd = Shared(out FileDescriptor peer);
            bool done = false;
            Thread hostile = new(() =>
            {
                byte[] full = BitConverter.GetBytes(ulong.MaxValue - 1);
                while (!Volatile.Read(ref done))
                {
                    // Fills while it cannot wait itself, then opens the trap.
                    BlockingEventFd.SetMode(peer, isBlocking: false);
                    _ = peer.Write(full);
                    _ = peer.Write(BitConverter.GetBytes(1UL));
                    BlockingEventFd.SetMode(peer, isBlocking: true);
                    Thread.SpinWait(20);
                }
            });
            hostile.Start();

            // So many, and for so long: on a busy machine the other thread may not run at once.
            long began = Stopwatch.GetTimestamp();
            for (int i = 0; i < 2000 || Stopwatch.GetElapsedTime(began) < TimeSpan.FromMilliseconds(200); i++)
            {
                long started = Stopwatch.GetTimestamp();
                Errno error = eventFd.Signal();
                TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
                longest = elapsed > longest ? elapsed : longest;
                if (error == Errno.ETIMEDOUT)
                {
                    waited++;
                    break;
                }

                Assert.Equal(Errno.None, error);
            }

            Volatile.Write(ref done, true);
            Assert.True(hostile.Join(TimeSpan.FromSeconds(30)));
            peer.Dispose();
        }

        Assert.InRange(waited, 1, Rounds);
        Assert.InRange(longest.TotalSeconds, 0, 10);
    }

    [Fact]
    public void TryConsume_of_an_eventfd_that_a_peer_made_blocking_does_not_wait()
    {
        using EventFd eventFd = Shared(out FileDescriptor peer);
        BlockingEventFd.SetMode(peer, isBlocking: true);

        Assert.False(eventFd.TryConsume(out _));
        Assert.Equal(Errno.None, eventFd.Signal(3));
        Assert.True(eventFd.TryConsume(out ulong count));
        Assert.Equal(3UL, count);
        peer.Dispose();
    }

    /// <summary>A non-blocking eventfd that came from a peer.</summary>
    private static EventFd Shared(out FileDescriptor peer)
    {
        EventFd own = new();
        Assert.Equal(Errno.None, own.Descriptor.TryDuplicate(out FileDescriptor? duplicate));
        peer = own.Descriptor;
        Assert.Equal(Errno.None, EventFd.TryAdopt(duplicate!, out EventFd? eventFd));
        return eventFd!;
    }

    private static unsafe int MakePipe(out FileDescriptor reading, out FileDescriptor writing)
    {
        int* pair = stackalloc int[2];
        int result = PipeCall(pair, 0x80000);
        reading = new FileDescriptor(pair[0], ownsHandle: true);
        writing = new FileDescriptor(pair[1], ownsHandle: true);
        return result;
    }

    [LibraryImport("libc", EntryPoint = "pipe2")]
    private static unsafe partial int PipeCall(int* pair, int flags);
}
