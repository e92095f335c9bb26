namespace Vfio.Devices.Nvme.Tests;

public sealed class CompletionQueueTests
{
    private readonly CompletionQueue _queue = new(controller: null!, id: 1, size: 4, address: 0, vector: 0, interrupts: true);

    [Fact]
    public void Slots_that_are_given_back_tell_of_who_waits_for_them_once()
    {
        Assert.Equal(3, _queue.Reserve(16));
        Assert.False(_queue.Release(1));
        Assert.Equal(1, _queue.Reserve(1));

        Assert.Equal(0, _queue.Reserve(1));
        Assert.False(_queue.Release(0));
        Assert.True(_queue.Release(2));
        Assert.False(_queue.Release(1));
    }

    [Fact]
    public void Completions_that_the_host_takes_tell_of_who_waits_for_room()
    {
        Assert.True(_queue.MoveHead(0, out bool wasStarved));
        Assert.False(wasStarved);
        Assert.Equal(3, _queue.Reserve(3));
        Assert.Equal(0, _queue.Reserve(1));
        Assert.True(_queue.MoveHead(0, out wasStarved));
        Assert.True(wasStarved);
        Assert.True(_queue.MoveHead(0, out wasStarved));
        Assert.False(wasStarved);
        Assert.False(_queue.MoveHead(1, out _));
    }
}
