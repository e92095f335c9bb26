using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Abort of I/O commands.</summary>
public sealed class AbortTests
{
    [Fact]
    public async Task Commands_that_wait_behind_a_slow_one_can_be_aborted()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        backend!.Gate.Reset();
        backend.Arrived.Reset();
        ushort[] running = [.. Enumerable.Range(0, QueueLanes.Count).Select(_ => queue.Put(rig.Transfer(0x02, 0, 1)))];
        ushort waiting = queue.Put(rig.Transfer(0x02, 0, 1));
        ushort last = queue.Submit(rig.Transfer(0x02, 0, 1));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));

        RawCommand Abort(ushort cid) => new RawCommand(0x08).Set(10, 1 | ((uint)cid << 16));
        Assert.Equal(1U, rig.Admin.Execute(Abort(running[0])).Result);

        // The one that waits is fetched a moment after the others have begun.
        NvmeRig.WaitFor(() => rig.Admin.Execute(Abort(waiting)).Result == 0, "the command that waits cannot be aborted");
        Assert.Equal(1U, rig.Admin.Execute(Abort(waiting)).Result);
        backend.Gate.Set();

        RawCompletion[] completions = [.. Enumerable.Range(0, QueueLanes.Count + 2).Select(_ => queue.Take())];
        Assert.Equal([.. running.Select(static cid => (cid, 0)), (waiting, 7), (last, 0)], completions.Select(static c => (c.Cid, c.Status)).Order());
        Assert.Equal(1U, rig.Admin.Execute(Abort(last)).Result);
    }
}
