using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Enable, disable, shutdown, resets in mid-flight, fatal errors.</summary>
public sealed class LifecycleTests
{
    private const uint Ready = 1;
    private const uint Fatal = 2;
    private const uint ShutdownOccurring = 1 << 2;
    private const uint ShutdownComplete = 2 << 2;

    public enum ResetWay
    {
        Controller,
        Device,
        FunctionLevel,
    }

    [Fact]
    public async Task Controller_is_enabled_and_disabled_many_times()
    {
        await using var rig = new NvmeRig(enable: false);
        for (int round = 0; round < 20; round++)
        {
            rig.Enable(entries: 2 + round);
            Assert.Equal(Ready, rig.Status);
            RawQueue queue = rig.CreateQueue(1 + (round % 16));
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 8)).Status);
            rig.Disable();
            Assert.Equal(0U, rig.Status);
        }
    }

    [Fact]
    public async Task Disable_keeps_the_admin_queue_registers_and_forgets_features_and_queues()
    {
        await using var rig = new NvmeRig();
        _ = rig.CreateQueue(1);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 0x0B).Set(11, 0x100)).Status);
        ulong address = rig.Bar.Read64(0x28);

        rig.Disable();
        Assert.Equal(address, rig.Bar.Read64(0x28));
        rig.Enable();

        Assert.Equal(0U, rig.Admin.Execute(new RawCommand(0x0A).Set(10, 0x0B)).Result);
        Assert.Equal(0x101, rig.Admin.Execute(new RawCommand(0x00).Set(10, 1)).Status);
    }

    [Theory]
    [InlineData(1U)]
    [InlineData(2U)]
    public async Task Shutdown_flushes_and_says_when_it_is_complete(uint notification)
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { HasVolatileCache = true } }] });

        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration | (notification << 14));
        NvmeRig.WaitFor(() => ((rig.Status >> 2) & 3) == 2, "the shutdown does not end");
        Assert.Equal(1, backend!.Flushes);
        rig.Disable();
        Assert.Equal(0U, rig.Status);
        rig.Enable();
        Assert.Equal(Ready, rig.Status);
    }

    /// <summary>Linux takes the memory of its queues back at CSTS.SHST and leaves CC.EN as it is.</summary>
    [Theory]
    [InlineData(1U, false)]
    [InlineData(2U, false)]
    [InlineData(1U, true)]
    public async Task Shutdown_is_complete_when_nothing_reaches_the_memory_of_the_host_any_more(uint notification, bool polled)
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Span.Fill(0xEE);
        backend!.Gate.Reset();
        queue.Submit(rig.Transfer(0x02, 0, 8));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));

        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration | (notification << 14));
        Thread.Sleep(20);
        Assert.Equal(Ready | ShutdownOccurring, rig.Status); // The command is still with its storage.
        backend.Gate.Set();
        NvmeRig.WaitFor(() => rig.Status == (Ready | ShutdownComplete), "the shutdown does not end");

        // No doorbell counts until the next enable.
        rig.Admin.Submit(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1));
        queue.Submit(rig.Transfer(0x02, 0, 8));
        Thread.Sleep(20);
        Assert.False(rig.Admin.TryTake(out _, ring: false));
        Assert.False(queue.TryTake(out _, ring: false));
        Assert.Equal(-1, rig.Data.Span[..8192].IndexOfAnyExcept((byte)0xEE));

        rig.Disable();
        rig.Enable();
        RawQueue again = rig.CreateQueue(1);
        Assert.Equal(0, again.Execute(rig.Transfer(0x02, 0, 8)).Status);
        Assert.Equal(0, rig.Data.Span[0]);
    }

    [Theory]
    [InlineData(0x0046_0011U, 0x001F_001FU)] // CSS
    [InlineData(0x0046_0061U, 0x001F_001FU)] // CSS: all command sets
    [InlineData(0x0046_0781U, 0x001F_001FU)] // MPS
    [InlineData(0x0046_0801U, 0x001F_001FU)] // AMS
    [InlineData(0x0046_0001U, 0x001F_0000U)] // ASQS
    [InlineData(0x0046_0001U, 0x0000_001FU)] // ACQS
    public async Task Enable_with_what_is_not_supported_is_fatal_until_the_next_reset(uint configuration, uint sizes)
    {
        await using var rig = new NvmeRig(enable: false);
        rig.Bar.Write32(0x24, sizes);

        rig.Bar.Write32(NvmeRig.Cc, configuration);
        NvmeRig.WaitFor(() => (rig.Status & Fatal) != 0, "the controller does not fail");
        Assert.Equal(Fatal, rig.Status);

        rig.Bar.Write32(NvmeRig.Cc, 0);
        NvmeRig.WaitFor(() => rig.Status == 0, "the controller does not recover");
        rig.Enable();
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Theory]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(16)]
    public async Task Large_pages_of_the_host_work(int pageShift)
    {
        await using var rig = new NvmeRig(enable: false);
        rig.Enable(configuration: NvmeRig.EnabledConfiguration | ((uint)(pageShift - 12) << 7));
        RawQueue queue = rig.CreateQueue(1);
        int page = 1 << pageShift;
        const int Length = 512 * 1024;
        const int ListOffset = 1 << 20;
        new Random(pageShift).NextBytes(rig.Data.Slice(0, Length + page));
        byte[] expected = rig.Data.Slice(512, Length).ToArray();

        // Begins inside of a page; the pages of the list are in order, one after the other.
        Span<ulong> list = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(rig.Data.Slice(ListOffset, 8192));
        for (int i = 0; i < Length / page; i++)
        {
            list[i] = rig.Data.Iova + (ulong)((i + 1) * page);
        }

        RawCommand write = rig.Transfer(0x01, 0, Length / 512);
        (write.Prp1, write.Prp2) = (rig.Data.Iova + 512, rig.Data.Iova + ListOffset);
        Assert.Equal(0, queue.Execute(write).Status);
        rig.Data.Slice(0, Length + page).Clear();
        RawCommand read = rig.Transfer(0x02, 0, Length / 512);
        (read.Prp1, read.Prp2) = (write.Prp1, write.Prp2);
        Assert.Equal(0, queue.Execute(read).Status);
        Assert.True(rig.Data.Slice(512, Length).SequenceEqual(expected));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Queues_that_cannot_be_reached_are_fatal(bool submissions)
    {
        await using var rig = new NvmeRig(enable: false);
        DmaBuffer memory = rig.Allocate(8192);
        rig.Bar.Write32(0x24, 0x001F_001F);
        rig.Bar.Write64(0x28, submissions ? 0x0F00_0000_0000 : memory.Iova);
        rig.Bar.Write64(0x30, submissions ? memory.Iova : 0x0F00_0000_0000);
        rig.EnableBus();
        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration);
        NvmeRig.WaitFor(() => rig.Status == Ready, "the controller does not get ready");

        rig.Bar.Write32(0x1000, 1);
        NvmeRig.WaitFor(() => rig.Status == (Ready | Fatal), "the controller does not fail");

        rig.Bar.Write32(NvmeRig.Cc, 0);
        NvmeRig.WaitFor(() => rig.Status == 0, "the controller does not recover");
        rig.Enable();
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Theory]
    [InlineData(ResetWay.Controller)]
    [InlineData(ResetWay.Device)]
    [InlineData(ResetWay.FunctionLevel)]
    public async Task Reset_with_a_command_under_way_leaves_no_trace_of_it(ResetWay way)
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Span.Fill(0xEE);
        backend!.Arrived.Reset();
        backend.Gate.Reset();
        queue.Submit(rig.Transfer(0x02, 0, 8));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));

        switch (way)
        {
            case ResetWay.Controller:
                rig.Bar.Write32(NvmeRig.Cc, 0);
                Thread.Sleep(20);
                Assert.Equal(Ready, rig.Status); // The command may still reach the host's memory.
                backend.Gate.Set();
                NvmeRig.WaitFor(() => rig.Status == 0, "the controller does not stop");
                break;
            case ResetWay.Device:
                rig.Connection.Reset();
                Assert.Equal(0U, rig.Status);
                backend.Gate.Set();
                break;
            default:
                ResetFunction(rig);
                Assert.Equal(0U, rig.Status);
                backend.Gate.Set();
                break;
        }

        rig.Enable();
        RawQueue again = rig.CreateQueue(1);
        Assert.False(queue.TryTake(out _, ring: false));
        Assert.Equal(0xEE, rig.Data.Span[0]);
        Assert.Equal(0, again.Execute(rig.Transfer(0x02, 0, 8)).Status);
        Assert.Equal(0, rig.Data.Span[0]);
    }

    [Fact]
    public async Task Deleting_a_queue_waits_for_its_command()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        backend!.Gate.Reset();
        queue.Submit(rig.Transfer(0x02, 0, 8));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));

        rig.Admin.Submit(new RawCommand(0x00).Set(10, 1));
        Thread.Sleep(20);
        Assert.False(rig.Admin.TryTake(out _));
        backend.Gate.Set();

        Assert.Equal(0, rig.Admin.Take().Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x04).Set(10, 1)).Status);
    }

    [Fact]
    public async Task Client_that_goes_in_mid_flight_leaves_a_usable_device()
    {
        await using var pair = Vfio.Testing.DevicePair.Serve(() => new NvmeDevice());
        for (int round = 0; round < 5; round++)
        {
            await using VfioConnection client = pair.Connect();
            Assert.Equal(0U, client.Bar(0).Read32(NvmeRig.Csts));
            using DmaBuffer memory = client.AllocateDma(64 * 1024);
            client.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
            client.Bar(0).Write32(0x24, 0x003F_003F);
            client.Bar(0).Write64(0x28, memory.Iova);
            client.Bar(0).Write64(0x30, memory.Iova + 8192);
            client.Bar(0).Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration);
            NvmeRig.WaitFor(() => client.Bar(0).Read32(NvmeRig.Csts) == Ready, "the controller does not get ready");
            for (int i = 0; i < 63; i++)
            {
                new RawCommand(0x06) { Prp1 = memory.Iova + 16384 }.Set(10, 1).Bytes.CopyTo(memory.Slice((nuint)(i * 64), 64));
            }

            client.Bar(0).Write32(0x1000, 63);
        }
    }

    private static void ResetFunction(NvmeRig rig)
    {
        for (int at = rig.Connection.Config.Read8(0x34); at != 0; at = rig.Connection.Config.Read8((ulong)at + 1))
        {
            if (rig.Connection.Config.Read8((ulong)at) == 0x10)
            {
                rig.Connection.Config.Write16((ulong)at + 8, (ushort)(rig.Connection.Config.Read16((ulong)at + 8) | 0x8000));
                return;
            }
        }

        Assert.Fail("no PCI Express capability");
    }
}
