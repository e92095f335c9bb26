namespace Vfio.Devices.Nvme.Tests;

public sealed class SubmissionQueueTests
{
    private readonly SubmissionQueue _queue = new(id: 1, size: 16, address: 0, priority: 0, completions: null!, request: null!, lanes: null!);

    [Fact]
    public void One_batch_that_was_interrupted_does_not_make_the_next_another_threads()
    {
        _queue.NoteBatch(isLong: true);
        _queue.NoteBatch(isLong: true);
        Assert.False(_queue.TakesLong);
        _queue.NoteBatch(isLong: false);
        _queue.NoteBatch(isLong: true);
        _queue.NoteBatch(isLong: true);
        Assert.False(_queue.TakesLong);
    }

    [Fact]
    public void Three_long_batches_make_the_next_another_threads_until_one_is_short()
    {
        for (int i = 0; i < 10; i++)
        {
            _queue.NoteBatch(isLong: true);
            Assert.Equal(i >= 2, _queue.TakesLong);
        }

        _queue.NoteBatch(isLong: false);
        Assert.False(_queue.TakesLong);
    }

    [Fact]
    public void Commands_are_counted_up_to_the_end_of_the_ring()
    {
        Assert.Equal(0, _queue.CommandCount);
        Assert.True(_queue.MoveTail(5));
        Assert.Equal(5, _queue.CommandCount);
        for (int i = 0; i < 5; i++)
        {
            _queue.Advance();
        }

        Assert.Equal(0, _queue.CommandCount);
        Assert.True(_queue.MoveTail(3));
        Assert.Equal(11, _queue.CommandCount);
        Assert.False(_queue.MoveTail(16));
        Assert.Equal(11, _queue.CommandCount);
    }
}
