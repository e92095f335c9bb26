using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Commands that wait for storage keep neither their queue nor others waiting.</summary>
public sealed class LaneTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Slow_namespace_stops_no_other_of_its_queue_nor_other_queues(bool polled)
    {
        TestBackend? slow = null;
        await using var rig = new NvmeRig(Options(size => slow = new TestBackend(size) { MayWait = true }, polled));
        RawQueue first = rig.CreateQueue(1);
        RawQueue second = rig.CreateQueue(2);
        slow!.Gate.Reset();
        for (int i = 0; i < 4; i++)
        {
            first.Put(rig.Transfer(0x02, (ulong)i * 8, 1, nsid: 1));
        }

        first.Ring();
        NvmeRig.WaitFor(() => slow.Waiting == 4, "the commands do not reach the backend together");

        Assert.Equal(0, first.Execute(rig.Transfer(0x01, 0, 8, nsid: 2)).Status);
        Assert.Equal(0, second.Execute(rig.Transfer(0x02, 0, 8, nsid: 2)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
        Assert.Equal(4, slow.Waiting);
        slow.Gate.Set();
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(0, first.Take().Status);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Queue_goes_on_when_a_lane_is_free_and_counts_all(bool polled)
    {
        TestBackend? slow = null;
        await using var rig = new NvmeRig(Options(size => slow = new TestBackend(size) { MayWait = true }, polled));
        RawQueue queue = rig.CreateQueue(1, entries: 128);
        slow!.Gate.Reset();
        var expected = new SortedSet<ushort>();
        for (int i = 0; i < 100; i++)
        {
            expected.Add(queue.Put(rig.Transfer(0x02, (ulong)i * 8, 1, nsid: 1)));
        }

        queue.Ring();
        NvmeRig.WaitFor(() => slow.Waiting == QueueLanes.Count, "not all lanes are used");
        Assert.False(queue.TryTake(out _));
        slow.Gate.Set();
        var seen = new SortedSet<ushort>();
        for (int i = 0; i < 100; i++)
        {
            RawCompletion completion = queue.Take();
            Assert.Equal(0, completion.Status);
            Assert.True(seen.Add(completion.Cid), $"command {completion.Cid} completes twice");
        }

        Assert.Equal(expected, seen);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02, uint.MaxValue) { Prp1 = rig.Data.Iova }.Set(10, 2 | (127U << 16))).Status);
        Assert.Equal(100UL, BitConverter.ToUInt64(rig.Data.Slice(64, 8)));
    }

    [Fact]
    public async Task Completion_queue_that_is_full_stops_lanes_from_being_used_and_nothing_is_lost()
    {
        await using var rig = new NvmeRig(Options(static size => new TestBackend(size) { MayWait = true }, polled: false));
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        int done = 0;
        for (int round = 0; round < 200; round++)
        {
            for (int i = 0; i < 7; i++)
            {
                queue.Put(rig.Transfer(0x02, 0, 1, nsid: 1));
            }

            queue.Ring();
            for (int i = 0; i < 7; i++)
            {
                Assert.Equal(0, queue.Take().Status);
                done++;
            }
        }

        Assert.Equal(1400, done);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reset_waits_for_commands_that_wait_and_nothing_of_them_arrives(bool polled)
    {
        TestBackend? slow = null;
        await using var rig = new NvmeRig(Options(size => slow = new TestBackend(size) { MayWait = true }, polled));
        RawQueue queue = rig.CreateQueue(1);
        slow!.Gate.Reset();
        for (int i = 0; i < 20; i++)
        {
            queue.Put(rig.Transfer(0x02, (ulong)i * 8, 1, nsid: 1));
        }

        rig.Data.Slice(0, 512).Fill(0x99);
        queue.Ring();
        NvmeRig.WaitFor(() => slow.Waiting == QueueLanes.Count, "not all lanes are used");
        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration & ~1U);
        Thread.Sleep(100);
        Assert.Equal(1U, rig.Status & 1);
        slow.Gate.Set();
        NvmeRig.WaitFor(() => (rig.Status & 1) == 0, "the controller does not stop");

        Assert.Equal(-1, rig.Data.Slice(0, 512).IndexOfAnyExcept((byte)0x99));
        Assert.False(queue.TryTake(out _));
        rig.Restart();
        Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x02, 0, 1, nsid: 1)).Status);
    }

    [Fact]
    public async Task Deleting_a_queue_waits_for_its_lanes()
    {
        TestBackend? slow = null;
        await using var rig = new NvmeRig(Options(size => slow = new TestBackend(size) { MayWait = true }, polled: false));
        RawQueue queue = rig.CreateQueue(1);
        slow!.Gate.Reset();
        queue.Put(rig.Transfer(0x02, 0, 1, nsid: 1));
        queue.Submit(rig.Transfer(0x02, 8, 1, nsid: 1));
        NvmeRig.WaitFor(() => slow.Waiting == 2, "the commands do not reach the backend");
        rig.Admin.Submit(new RawCommand(0x00).Set(10, 1));
        Thread.Sleep(100);
        Assert.False(rig.Admin.TryTake(out _));
        slow.Gate.Set();

        Assert.Equal(0, rig.Admin.Take().Status);
        Assert.Equal(0, slow.Waiting);
    }

    [Fact]
    public async Task Device_that_is_released_keeps_its_backend_until_the_last_command_has_ended()
    {
        TestBackend? slow = null;
        var rig = new NvmeRig(Options(size => slow = new TestBackend(size) { MayWait = true, IsRemote = true }, polled: false));
        RawQueue queue = rig.CreateQueue(1);
        slow!.Gate.Reset();
        queue.Submit(rig.Transfer(0x02, 0, 1, nsid: 1));
        NvmeRig.WaitFor(() => slow.Waiting == 1, "the command does not reach the backend");
        await rig.DisposeAsync();
        bool wasDisposed = slow.IsDisposed;
        slow.Gate.Set();

        Assert.False(wasDisposed);
        NvmeRig.WaitFor(() => slow.IsDisposed, "the backend is not disposed");
    }

    private static NvmeOptions Options(Func<ulong, INvmeBackend> slow, bool polled)
        => new() { Polled = polled, Namespaces = [new() { Size = 1 << 20, Backend = slow }, new() { Size = 1 << 20 }] };
}
