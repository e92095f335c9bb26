using System.Runtime.InteropServices;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Iommu;
using Vfio.User;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Doorbells in the host's memory: a host that writes registers only when it is asked to, as Linux does.</summary>
public sealed class ShadowDoorbellTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task No_command_is_lost_by_a_host_that_rings_only_when_asked(bool overSocket, bool byCopies)
    {
        const int Commands = 20_000;
        await using var rig = new NvmeRig(overSocket: overSocket, server: byCopies ? new VfioUserServerOptions { ClientMemory = DescriptorMemoryPolicy.NeverMap } : null);
        var shadow = new ShadowHost(rig);
        RawQueue[] queues = [rig.CreateQueue(1, entries: 8), rig.CreateQueue(2, entries: 64)];
        var random = new Random(5);
        int[] lanes = [random.Next(), random.Next()];

        await Task.WhenAll(queues.Select((queue, lane) => Task.Run(() =>
        {
            var pauses = new Random(lanes[lane]);
            int waiting = 0;
            for (int done = 0, sent = 0; done < Commands;)
            {
                for (int burst = pauses.Next(queue.Size); burst > 0 && waiting < queue.Size - 1 && sent < Commands; burst--, waiting++, sent++)
                {
                    queue.Put(rig.Transfer(0x02, 0, 1, offset: 8192 * lane));
                }

                shadow.RingTail(queue);
                Thread.SpinWait(pauses.Next(4) == 0 ? pauses.Next(3000) : pauses.Next(30));
                int before = waiting;
                NvmeRig.WaitFor(
                    () =>
                    {
                        while (queue.TryTake(out RawCompletion completion, ring: false))
                        {
                            Assert.Equal(0, completion.Status);
                            waiting--;
                            done++;
                        }

                        return waiting == 0 || waiting < before;
                    },
                    "a doorbell was lost");
                shadow.RingHead(queue);
            }
        })));

        Assert.True(shadow.Registers < 2 * Commands, $"{shadow.Registers} registers were written for {2 * Commands} commands");
        Assert.Equal(1U, rig.Status);
    }

    [Fact]
    public async Task Head_makes_room_without_a_register_while_the_queue_runs_and_with_one_while_it_is_full()
    {
        await using var rig = new NvmeRig();
        var shadow = new ShadowHost(rig);
        RawQueue queue = rig.CreateQueue(1, entries: 4);
        for (int round = 0; round < 200; round++)
        {
            for (int i = 0; i < 3; i++)
            {
                queue.Put(rig.Transfer(0x02, 0, 1));
            }

            shadow.RingTail(queue);
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal(0, queue.Take(ring: false).Status);
            }

            // Every other time the next command is there before there is room for its completion.
            queue.Put(rig.Transfer(0x02, 0, 1));
            shadow.RingTail(queue);
            if (round % 2 == 0)
            {
                Thread.Sleep(1);
            }

            shadow.RingHead(queue);
            Assert.Equal(0, queue.Take(ring: false).Status);
            shadow.RingHead(queue);
        }
    }

    [Fact]
    public async Task Memory_that_is_unmapped_is_used_no_more_and_registers_count_again()
    {
        await using var rig = new NvmeRig();
        using DmaBuffer pages = rig.Connection.AllocateDma(8192, iova: 0xA000_0000);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x7C) { Prp1 = pages.Iova, Prp2 = pages.Iova + 4096 }).Status);
        RawQueue queue = rig.CreateQueue(1);
        pages.Dispose();

        ushort cid = queue.Put(rig.Transfer(0x02, 0, 1));
        NvmeRig.WaitFor(
            () =>
            {
                // The first register is what shows that the memory is gone; the host writes it until it counts.
                queue.Ring();
                return queue.TryTake(out RawCompletion completion) && completion.Cid == cid;
            },
            "the registers do not count");
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(1U, rig.Status);
    }

    [Fact]
    public async Task Wrong_indices_are_events_and_a_reset_forgets_the_buffers()
    {
        await using var rig = new NvmeRig();
        var shadow = new ShadowHost(rig);
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        ushort request = rig.Admin.Submit(new RawCommand(0x0C));
        shadow.Store(queue, 0xFFFF_FFFF);
        queue.Ring();
        RawCompletion told = rig.Admin.Take();
        Assert.Equal((request, 0x01_01_00U), (told.Cid, told.Result));

        rig.Disable();
        rig.Enable();
        queue = rig.CreateQueue(1, entries: 8);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    /// <summary>
    /// Linux leaves a controller that it has shut down enabled, takes its memory back, and gives it the bus again before it resets it: what is in that
    /// memory by then is somebody else's.
    /// </summary>
    [Fact]
    public async Task Memory_taken_back_after_a_shutdown_is_neither_obeyed_nor_written()
    {
        await using var rig = new NvmeRig();
        var shadow = new ShadowHost(rig);
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        queue.Put(rig.Transfer(0x02, 0, 1));
        shadow.RingTail(queue);
        Assert.Equal(0, queue.Take(ring: false).Status);
        shadow.RingHead(queue);

        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration | (1U << 14));
        NvmeRig.WaitFor(() => (rig.Status >> 2) == 2, "the shutdown does not end");
        rig.DisableBus();
        RawQueue[] both = [rig.Admin, queue];
        foreach (RawQueue taken in both)
        {
            // As tails of the queues, these numbers tell of commands.
            taken.Submissions.Span.Fill(0x05);
            taken.Completions.Span.Fill(0x05);
            shadow.Store(taken, 0x05);
        }

        byte[] events = shadow.Events.ToArray();
        rig.EnableBus();
        Thread.Sleep(50);
        Assert.Equal(events, shadow.Events);
        foreach (RawQueue taken in both)
        {
            Assert.Equal(-1, taken.Completions.Span.IndexOfAnyExcept((byte)0x05));
        }

        rig.Disable();
        rig.Enable();
        Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Polled_controller_has_no_need_of_them()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Polled = true });
        Assert.Equal(1, rig.Admin.Execute(new RawCommand(0x7C) { Prp1 = rig.Data.Iova, Prp2 = rig.Data.Iova + 4096 }).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
        Assert.Equal(0, rig.Data.Span[257] & 1);
    }

    /// <summary>The host's side of the buffers.</summary>
    private sealed class ShadowHost
    {
        private readonly NvmeRig _rig;
        private readonly DmaBuffer _doorbells;
        private readonly DmaBuffer _events;
        private int _registers;

        public ShadowHost(NvmeRig rig)
        {
            _rig = rig;
            _doorbells = rig.Allocate(4096);
            _events = rig.Allocate(4096);
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x7C) { Prp1 = _doorbells.Iova, Prp2 = _events.Iova }).Status);
        }

        /// <summary>Registers that were written.</summary>
        public int Registers => _registers;

        /// <summary>The page with the controller's requests.</summary>
        public ReadOnlySpan<byte> Events => _events.Slice(0, 4096);

        public void RingTail(RawQueue queue) => Ring(queue.Id * 2, (uint)queue.Tail, queue.Ring);

        public void RingHead(RawQueue queue) => Ring((queue.Id * 2) + 1, (uint)queue.Head, queue.RingHead);

        public void Store(RawQueue queue, uint tail) => Volatile.Write(ref At(_doorbells, queue.Id * 2), tail);

        private static ref uint At(DmaBuffer page, int index) => ref MemoryMarshal.Cast<byte, uint>(page.Slice(0, 4096))[index];

        private void Ring(int index, uint value, Action register)
        {
            uint old = At(_doorbells, index);
            if (old == value)
            {
                return;
            }

            Volatile.Write(ref At(_doorbells, index), value);
            Interlocked.MemoryBarrier();
            uint asked = Volatile.Read(ref At(_events, index));
            if ((ushort)(value - asked - 1) < (ushort)(value - old))
            {
                Interlocked.Increment(ref _registers);
                register();
            }
        }
    }
}
