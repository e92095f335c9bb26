using System.Runtime.InteropServices;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Linux;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Doorbells in shared memory.</summary>
public sealed class PolledTests
{
    private static readonly NvmeOptions s_options = new() { Polled = true, Namespaces = [new() { Size = 4 << 20 }] };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Blocks_are_read_as_they_were_written(bool overSocket)
    {
        await using var rig = new NvmeRig(s_options, overSocket);
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        for (int i = 0; i < 100; i++)
        {
            rig.Data.Slice(0, 8192).Fill((byte)(i + 1));
            Assert.Equal(0, queue.Execute(rig.Transfer(0x01, (ulong)i, 16)).Status);
            rig.Data.Slice(0, 8192).Clear();
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, (ulong)i, 16)).Status);
            Assert.Equal(-1, rig.Data.Slice(0, 8192).IndexOfAnyExcept((byte)(i + 1)));
        }
    }

    [Fact]
    public async Task Store_into_the_mapped_doorbell_is_seen()
    {
        await using var rig = new NvmeRig(s_options, overSocket: true);
        RawQueue queue = rig.CreateQueue(1);
        using MemoryMapping doorbells = rig.Connection.Map(PciRegion.Bar0, 0x1000, 0x1000);
        ushort cid = queue.Put(rig.Transfer(0x02, 0, 8));

        Volatile.Write(ref MemoryMarshal.Cast<byte, uint>(doorbells.Span)[2], 1);

        Assert.Equal(cid, queue.Take(ring: false).Cid);
    }

    [Fact]
    public async Task Queue_made_anew_does_not_see_its_predecessor_s_doorbell()
    {
        await using var rig = new NvmeRig(s_options);
        for (int round = 0; round < 10; round++)
        {
            RawQueue queue = rig.CreateQueue(3, entries: 16);
            for (int i = 0; i < 5; i++)
            {
                Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
            }

            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x00).Set(10, 3)).Status);
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x04).Set(10, 3)).Status);
        }
    }

    [Fact]
    public async Task Controller_is_enabled_disabled_and_reset_many_times()
    {
        await using var rig = new NvmeRig(s_options);
        for (int round = 0; round < 10; round++)
        {
            RawQueue queue = rig.CreateQueue(1);
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
            if (round % 2 == 0)
            {
                rig.Disable();
            }
            else
            {
                rig.Connection.Reset();
            }

            rig.Enable();
        }
    }

    [Fact]
    public async Task Wrong_values_in_the_doorbells_are_events_and_change_nothing()
    {
        await using var rig = new NvmeRig(s_options);
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        ushort request = rig.Admin.Submit(new RawCommand(0x0C));

        rig.Bar.Write32(0x1008, 0xFFFF_FFFF);
        RawCompletion completion = rig.Admin.Take();
        Assert.Equal((request, 0x01_01_00U), (completion.Cid, completion.Result));
        rig.Bar.Write32(0x100C, 0x8000_0000);

        rig.Bar.Write32(0x1008, 0);
        rig.Bar.Write32(0x100C, 0);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Full_completion_queue_stops_the_queue_until_there_is_room()
    {
        await using var rig = new NvmeRig(s_options);
        RawQueue queue = rig.CreateQueue(1, entries: 4);
        for (int i = 0; i < 3; i++)
        {
            queue.Submit(rig.Transfer(0x02, 0, 1));
        }

        queue.Take(ring: false);
        queue.Take(ring: false);
        queue.Take(ring: false);
        queue.Submit(rig.Transfer(0x02, 0, 1));
        Thread.Sleep(20);
        Assert.False(queue.TryTake(out _));
        queue.RingHead();
        Assert.Equal(0, queue.Take().Status);
    }

    [Fact]
    public async Task Adaptive_controller_sleeps_without_work_and_sees_both_kinds_of_doorbells()
    {
        await using var rig = new NvmeRig(s_options with { RestsWhenIdle = true }, overSocket: true);
        RawQueue queue = rig.CreateQueue(1);
        using MemoryMapping doorbells = rig.Connection.Map(PciRegion.Bar0, 0x1000, 0x1000);
        for (uint round = 1; round <= 10; round++)
        {
            Thread.Sleep(20);
            ushort cid = queue.Put(rig.Transfer(0x02, 0, 8));
            Volatile.Write(ref MemoryMarshal.Cast<byte, uint>(doorbells.Span)[2], (uint)queue.Tail);
            Assert.Equal(cid, queue.Take(ring: false).Cid);
            queue.RingHead();
            Thread.Sleep(20);
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 8)).Status);
        }

        // A processor's time of all threads here, of which the poller would take nearly all if it did not sleep.
        TimeSpan before = System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime;
        double least = double.MaxValue;
        for (int i = 0; i < 20 && least > 0.3; i++)
        {
            Thread.Sleep(100);
            TimeSpan now = System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime;
            least = Math.Min(least, (now - before) / TimeSpan.FromMilliseconds(100));
            before = now;
        }

        Assert.InRange(least, 0, 0.3);
    }

    [Fact]
    public async Task Message_doorbell_wakes_a_sleeping_controller()
    {
        // Nobody but the doorbell ends a sleep of an hour in time.
        await using var rig = new NvmeRig(s_options with { RestsWhenIdle = true, RestPeriod = TimeSpan.FromHours(1) });
        RawQueue queue = rig.CreateQueue(1);
        for (int i = 0; i < 40; i++)
        {
            Thread.Sleep(5);
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 8)).Status);
        }
    }
}
