using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>When the controller may not reach memory: behind a reset, without bus mastering, in D3.</summary>
public sealed class BusTests
{
    public static TheoryData<bool, bool> Kinds => new() { { false, false }, { false, true }, { true, false }, { true, true } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Nothing_arrives_behind_a_reset_or_the_end_of_bus_mastering(bool polled, bool byReset)
    {
        const int Length = 1 << 20;
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Namespaces = [new() { Size = 4 << 20 }] });
        for (int round = 0; round < 40; round++)
        {
            RawQueue queue = rig.CreateQueue(1);
            for (int i = 0; i < 20; i++)
            {
                queue.Put(rig.Transfer(0x02, 0, Length / 512));
            }

            queue.Ring();
            Thread.SpinWait(round * 997 % 20_000);
            if (byReset)
            {
                // Without the connection's own end of bus mastering.
                Assert.Equal(Errno.None, rig.Connection.TryReset());
            }
            else
            {
                rig.DisableBus();
            }

            // The memory is the host's again: what it holds now stays.
            rig.Data.Slice(0, Length).Fill(0xE7);
            queue.Completions.Span.Fill(0xE7);
            Thread.SpinWait(20_000);
            Assert.Equal(-1, rig.Data.Slice(0, Length).IndexOfAnyExcept((byte)0xE7));
            Assert.Equal(-1, queue.Completions.Span.IndexOfAnyExcept((byte)0xE7));
            rig.Connection.Reset();
            rig.Restart();
        }
    }

    [Fact]
    public async Task Commands_wait_for_bus_mastering()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        rig.DisableBus();
        queue.Submit(rig.Transfer(0x02, 0, 1));
        Thread.Sleep(30);
        Assert.False(queue.TryTake(out _, ring: false));
        Assert.Equal(1U, rig.Status);

        rig.EnableBus();
        Assert.Equal(0, queue.Take().Status);
    }

    [Fact]
    public async Task Command_under_way_that_loses_the_bus_is_fatal_until_a_reset()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        backend!.Gate.Reset();
        backend.Arrived.Reset();
        queue.Submit(rig.Transfer(0x02, 0, 1));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        rig.DisableBus();
        backend.Gate.Set();

        NvmeRig.WaitFor(() => rig.Status == 3, "the controller does not fail");
        Assert.False(queue.TryTake(out _, ring: false));
        rig.Disable();
        rig.Enable();
        Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Sleeping_function_reaches_no_memory()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        ushort power = (ushort)(rig.Connection.Pci.Find(PciCapabilityId.PowerManagement)!.Value.Offset + 4);
        queue.Put(rig.Transfer(0x02, 0, 1));
        rig.Connection.Config.Write16(power, 3);
        rig.Connection.Config.Write16(power, 0);
        queue.Ring();
        Assert.Equal(0, queue.Take().Status);
    }
}
