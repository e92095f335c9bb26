using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class PollTests
{
    [Fact]
    public void Wait_names_the_ready_ones()
    {
        using EventFd idle = new();
        using EventFd ready = new(1);
        Span<PollRequest> requests =
        [
            new PollRequest(idle.Descriptor, EventLoopEvents.Read),
            new PollRequest(ready.Descriptor, EventLoopEvents.Read | EventLoopEvents.Write),
        ];

        Assert.Equal(1, Poll.Wait(requests, -1).Count);

        Assert.Equal(EventLoopEvents.None, requests[0].Ready);
        Assert.Equal(EventLoopEvents.Read | EventLoopEvents.Write, requests[1].Ready);
    }

    [Fact]
    public void Wait_timeout_is_zero()
    {
        using EventFd idle = new();

        Assert.Equal(IoResult.Success(0), Poll.Wait(idle.Descriptor, EventLoopEvents.Read, 5));
    }

    [Fact]
    public void Wait_too_many_is_EINVAL() => Assert.Equal(Errno.EINVAL, Poll.Wait(new PollRequest[Poll.MaximumCount + 1], 0).Error);

    [Fact]
    public void Wait_allocates_nothing()
    {
        using EventFd one = new(1);

        Assert.Equal(0, AllocationMeter.Measure(() => Poll.Wait(one.Descriptor, EventLoopEvents.Read, 0)));
    }
}
