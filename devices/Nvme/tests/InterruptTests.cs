using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Completions are announced by MSI-X, MSI and pin, and held back by their masks.</summary>
public sealed class InterruptTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(30);

    [Fact]
    public async Task Msix_goes_to_the_vector_of_the_queue()
    {
        await using var rig = new NvmeRig();
        using InterruptSet interrupts = rig.Connection.EnableInterrupts(PciInterrupt.Msix, count: 17);
        Enable(rig, capability: 0x11, 0x8000);
        RawQueue first = rig.CreateQueue(1, vector: 3, interrupts: true);
        RawQueue silent = rig.CreateQueue(2, vector: 4, interrupts: false);
        Assert.True(interrupts[0].Wait(s_patience));

        Assert.Equal(0, first.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.True(interrupts[3].Wait(s_patience));
        Assert.Equal(0, silent.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.False(interrupts[4].Wait(s_moment));
    }

    [Fact]
    public async Task Pin_is_asserted_until_the_completions_are_taken()
    {
        await using var rig = new NvmeRig();
        using InterruptSet pin = rig.Connection.EnableInterrupts(PciInterrupt.Intx);

        rig.Admin.Submit(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1));
        Assert.True(pin[0].Wait(s_patience));
        pin.Unmask();
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0, rig.Admin.Take().Status);
        pin.Unmask();
        Assert.False(pin[0].Wait(s_moment));
    }

    [Fact]
    public async Task Pin_obeys_the_interrupt_mask()
    {
        await using var rig = new NvmeRig();
        using InterruptSet pin = rig.Connection.EnableInterrupts(PciInterrupt.Intx);
        rig.Bar.Write32(0x0C, 1);
        Assert.Equal(1U, rig.Bar.Read32(0x10));

        rig.Admin.Submit(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1));
        Assert.False(pin[0].Wait(s_moment));
        rig.Bar.Write32(0x10, 1);

        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0U, rig.Bar.Read32(0x0C));
    }

    [Fact]
    public async Task Msi_is_sent_once_when_it_is_unmasked()
    {
        await using var rig = new NvmeRig();
        using InterruptSet msi = rig.Connection.EnableInterrupts(PciInterrupt.Msi);
        Enable(rig, capability: 0x05, 1);
        rig.Bar.Write32(0x0C, 1);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
        rig.Admin.Submit(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1));
        rig.Admin.Take(ring: false);
        Assert.False(msi[0].Wait(s_moment));

        rig.Bar.Write32(0x10, 1);
        Assert.True(msi[0].Wait(s_patience));
        Assert.False(msi[0].Wait(s_moment));
    }

    private static void Enable(NvmeRig rig, byte capability, ushort bits)
    {
        for (int at = rig.Connection.Config.Read8(0x34); at != 0; at = rig.Connection.Config.Read8((ulong)at + 1))
        {
            if (rig.Connection.Config.Read8((ulong)at) == capability)
            {
                rig.Connection.Config.Write16((ulong)at + 2, (ushort)(rig.Connection.Config.Read16((ulong)at + 2) | bits));
                return;
            }
        }

        Assert.Fail("no such capability");
    }

    [Fact]
    public async Task Interrupts_wait_for_the_threshold_or_the_time()
    {
        var clock = new ManualTime();
        await using var rig = new NvmeRig(new NvmeOptions { Queues = 2 }, clock: clock);
        using InterruptSet interrupts = rig.Connection.EnableInterrupts(PciInterrupt.Msix, count: 3);
        Enable(rig, capability: 0x11, 0x8000);
        RawQueue queue = rig.CreateQueue(1, vector: 1, interrupts: true);
        RawQueue other = rig.CreateQueue(2, vector: 2, interrupts: true);

        // Four completions or 1 ms, but vector 2 at once.
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 8).Set(11, 3 | (10U << 8))).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 9).Set(11, 2 | (1U << 16))).Status);
        Assert.Equal(0, other.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.True(interrupts[2].Wait(s_patience));

        // The completions are not taken: those that are need no interrupt.
        queue.Submit(rig.Transfer(0x02, 0, 1));
        Assert.Equal(0, queue.Take(ring: false).Status);
        Assert.False(interrupts[1].Wait(s_moment));
        clock.Advance(TimeSpan.FromMicroseconds(999));
        Assert.False(interrupts[1].Wait(s_moment));
        clock.Advance(TimeSpan.FromMicroseconds(1));
        Assert.True(interrupts[1].Wait(s_patience));

        for (int i = 0; i < 4; i++)
        {
            Assert.False(interrupts[1].Wait(TimeSpan.Zero));
            queue.Submit(rig.Transfer(0x02, 0, 1));
            Assert.Equal(0, queue.Take(ring: false).Status);
        }

        Assert.True(interrupts[1].Wait(s_patience));
    }
}
