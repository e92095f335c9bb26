using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Several submission queues that post to one completion queue.</summary>
public sealed class SharedCompletionTests
{
    [Fact]
    public async Task Queue_takes_no_more_slots_than_it_has_commands()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue first = rig.CreateQueue(1, entries: 4);
        RawQueue second = CreateSharing(rig, first, 2);
        backend!.Gate.Reset();
        backend.Arrived.Reset();

        first.Submit(rig.Transfer(0x02, 0, 1));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));

        // The first has one slot while it waits: the second finds another.
        second.Submit(new RawCommand(0x00, nsid: 1));
        RawCompletion flush = first.Take(ring: false);
        Assert.Equal((2, 0), (flush.Queue, flush.Status));
        backend.Gate.Set();
        RawCompletion read = first.Take(ring: false);
        Assert.Equal((1, 0), (read.Queue, read.Status));
    }

    [Fact]
    public async Task Slot_of_half_a_pair_in_a_deleted_queue_wakes_the_queue_that_waits_for_it()
    {
        await using var rig = new NvmeRig();
        RawQueue first = rig.CreateQueue(1, entries: 2);
        RawQueue second = CreateSharing(rig, first, 2);
        RawCommand compare = rig.Transfer(0x05, 0, 1);
        compare.Flags = 1;
        first.Submit(compare);
        NvmeRig.WaitFor(() => rig.Pair.Device.Controller.FindSubmissions(1) is { HasCommands: false }, "the first of the pair is not taken");
        second.Submit(rig.Transfer(0x02, 0, 1));
        Thread.Sleep(50);
        Assert.False(first.TryTake(out _));

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x00).Set(10, 1)).Status);

        RawCompletion read = first.Take();
        Assert.Equal((2, 0), (read.Queue, read.Status));
    }

    [Fact]
    public async Task Queue_that_finds_no_slot_does_not_keep_the_thread_that_answers_the_host()
    {
        await using var rig = new NvmeRig();
        RawQueue first = rig.CreateQueue(1, entries: 2);
        RawQueue second = CreateSharing(rig, first, 2);
        AnsweringThread thread = new();
        thread.Enter();
        try
        {
            first.Submit(new RawCommand(0x00, nsid: 1));
            second.Submit(new RawCommand(0x00, nsid: 1));
            for (int i = 0; thread.HasWork; i++)
            {
                Assert.True(i < 10, "A queue without a slot runs again and again.");
                thread.Work();
            }

            Assert.True(rig.Pair.Device.Controller.FindSubmissions(2) is { HasCommands: true });
            Assert.Equal(1, first.Take().Queue);
        }
        finally
        {
            thread.Exit();
        }

        // The slot that the host has given back is another's.
        Assert.Equal(2, first.Take().Queue);
    }

    private static RawQueue CreateSharing(NvmeRig rig, RawQueue other, int id)
    {
        var queue = new RawQueue(rig, id, other.Size, rig.Allocate(4096), other.Completions);
        Assert.Equal(0, rig.Admin.Execute(NvmeRig.CreateSubmissions(queue, completions: other.Id)).Status);
        return queue;
    }
}
