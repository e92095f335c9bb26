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
