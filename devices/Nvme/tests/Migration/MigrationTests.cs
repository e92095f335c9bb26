using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Iommu;
using Vfio.Testing;

namespace Vfio.Devices.Nvme.Tests.Migration;

/// <summary>A controller that stops here and goes on there, behind two servers.</summary>
public sealed class MigrationTests
{
    private const int Page = 4096;

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task Load_goes_on_with_another_server_and_reads_what_it_wrote(bool isShared, bool isPolled)
    {
        using var storage = new MemoryBackend(8 << 20);
        var opened = new List<SharedBackend>();
        NvmeOptions Options() => new()
        {
            Queues = 2,
            Polled = isPolled,
            Namespaces = [new() { Size = 8 << 20, Backend = isShared ? _ => Open() : null }],
        };
        SharedBackend Open()
        {
            opened.Add(new SharedBackend(storage));
            return opened[^1];
        }

        NvmeRig rig = new(Options(), overSocket: true);
        RawQueue queue = rig.CreateQueue(1, entries: 16);
        var load = new IoLoad(rig, queue);
        int outstanding = 0;
        for (int move = 0; move < 3; move++)
        {
            load.AwaitDone(load.Done + 500);
            NvmeRig next = new(Options(), overSocket: true, enable: false);
            var host = new MovingHost(load, rig, queue);
            host.Begin(next);
            load.AwaitDone(load.Done + 500);
            outstanding += host.Move(next);
            opened.SkipLast(1).ToList().ForEach(static backend => backend.IsFenced = true);
            await rig.DisposeAsync();
            (rig, queue) = (next, queue.On(next, rig));
        }

        load.AwaitDone(load.Done + 500);
        await load.EndAsync();
        await rig.DisposeAsync();
        Assert.NotEqual(0, outstanding);
    }

    [Fact]
    public async Task Every_page_that_a_read_fills_is_in_the_log()
    {
        await using NvmeRig rig = new(overSocket: true);
        RawQueue queue = rig.CreateQueue(1);
        _ = IovaRange.TryCreate(rig.Data.Iova, rig.Data.Length, out IovaRange range);
        ulong pageSize = Page;
        Assert.Equal(Errno.None, rig.Connection.TryStartDirtyLog([range], ref pageSize));

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 24, offset: 4096 * 3)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 24, offset: 4096 * 10)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova + (4096 * 20) }.Set(10, 1)).Status);

        ulong[] dirty = new ulong[8];
        Assert.Equal(Errno.None, rig.Connection.TryReadDirtyLog(range, Page, dirty));
        Assert.Equal(0x10_0038UL, dirty[0]);
        _ = IovaRange.TryCreate(queue.Completions.Iova, Page, out IovaRange completions);
        Assert.Equal(Errno.None, rig.Connection.TryReadDirtyLog(completions, Page, dirty.AsSpan(0, 1)));
        Assert.Equal(1UL, dirty[0] & 1);
    }

    [Fact]
    public async Task Features_events_logs_and_half_a_pair_are_the_same_there()
    {
        await using NvmeRig from = new(overSocket: true);
        await using NvmeRig to = new(overSocket: true, enable: false);
        RawQueue queue = from.CreateQueue(3);
        from.Data.Slice(0, 16).Fill(0x77);
        ushort request = from.Admin.Submit(new RawCommand(0x0C));
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x09).Set(10, 0x08).Set(11, 0x0203)).Status);
        BinaryPrimitives.WriteUInt64LittleEndian(from.Data.Slice(8192, 8), 1_700_000_000_000);
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x09) { Prp1 = from.Data.Iova + 8192 }.Set(10, 0x0E)).Status);
        Assert.Equal(0x80, queue.Execute(from.Transfer(0x02, block: 1 << 20, 1)).Status);
        Assert.Equal(0, queue.Execute(from.Transfer(0x04, block: 5, 2)).Status);
        Assert.Equal(0, queue.Execute(from.Transfer(0x02, 0, 1)).Status);
        RawCommand first = from.Transfer(0x05, 0, 1);
        first.Flags = 1;
        queue.Submit(first);
        NvmeRig.WaitFor(() => from.Pair.Device.Controller.FindSubmissions(3) is { HasCommands: false }, "the first of the pair is not taken");

        _ = MovingHost.MoveIdle(from, to);
        queue = queue.On(to, from);

        Assert.Equal(0x0203U, to.Admin.Execute(new RawCommand(0x0A).Set(10, 0x08)).Result);
        Assert.Equal(0, to.Admin.Execute(new RawCommand(0x0A) { Prp1 = to.Data.Iova + 8192 }.Set(10, 0x0E)).Status);
        Assert.InRange(BinaryPrimitives.ReadUInt64LittleEndian(to.Data.Slice(8192, 8)) & 0xFFFF_FFFF_FFFF, 1_700_000_000_000UL, 1_700_000_600_000UL);
        Assert.Equal(0, to.Admin.Execute(new RawCommand(0x02) { Prp1 = to.Data.Iova + 8192 }.Set(10, 1 | (15U << 16))).Status);
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(to.Data.Slice(8192, 8)));
        RawCommand second = to.Transfer(0x01, 0, 1, offset: 4096);
        second.Flags = 2;
        to.Data.Slice(4096, 512).Fill(0x44);
        queue.Submit(second);
        Assert.Equal((0, 0), (queue.Take().Status, queue.Take().Status));
        Assert.Equal(0, queue.Execute(to.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(0x44, to.Data.Span[0]);
        Assert.Equal(0x281, queue.Execute(to.Transfer(0x02, 6, 1)).Status);

        to.Bar.Write32(0x1000 + (8 * 9), 1);
        RawCompletion happened = to.Admin.Take();
        Assert.Equal((request, 0x01_00_00U), (happened.Cid, happened.Result));
    }

    [Fact]
    public async Task Completions_that_were_not_announced_interrupt_there()
    {
        await using NvmeRig from = new(overSocket: true);
        await using NvmeRig to = new(overSocket: true, enable: false);
        RawQueue queue = from.CreateQueue(2, vector: 2, interrupts: true);
        queue.Submit(from.Transfer(0x02, 0, 1));
        NvmeRig.WaitFor(() => from.Pair.Device.Controller.FindCompletions(2) is { HasEntries: true }, "nothing was completed");
        using InterruptSet interrupts = to.Connection.EnableInterrupts(PciInterrupt.Msix, count: 17);

        _ = MovingHost.MoveIdle(from, to);

        Assert.True(interrupts[2].Wait(TimeSpan.FromSeconds(10)));
        Assert.Equal(0, queue.On(to, from).Take().Status);
    }

    [Fact]
    public async Task Namespaces_of_the_host_are_there_with_what_they_hold()
    {
        var options = new NvmeOptions { ManagedCapacity = 16 << 20, Namespaces = [new() { Size = 4 << 20 }, new() { Size = 2 << 20 }] };
        await using NvmeRig from = new(options, overSocket: true);
        await using NvmeRig to = new(options, overSocket: true, enable: false);
        RawQueue queue = from.CreateQueue(1);
        Span<byte> page = from.Data.Slice(0, 4096);
        page.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(page, 2048);
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], 2048);
        page[26] = 1;
        RawCompletion made = from.Admin.Execute(new RawCommand(0x0D) { Prp1 = from.Data.Iova });
        Assert.Equal((0, 3U), (made.Status, made.Result));
        page.Clear();
        page[0] = 1;
        page[2] = 1;
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x15, nsid: 3) { Prp1 = from.Data.Iova }).Status);
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x15, nsid: 1) { Prp1 = from.Data.Iova }.Set(10, 1)).Status);
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x0D, nsid: 2).Set(10, 1)).Status);
        from.Data.Slice(0, 4096).Fill(0x3C);
        Assert.Equal(0, queue.Execute(from.Transfer(0x01, 100, 1, blockSize: 4096, nsid: 3)).Status);
        byte[] identity = Identify(from, 3);

        _ = MovingHost.MoveIdle(from, to);
        queue = queue.On(to, from);

        Assert.Equal(identity, Identify(to, 3));
        to.Data.Span.Clear();
        Assert.Equal(0, queue.Execute(to.Transfer(0x02, 100, 1, blockSize: 4096, nsid: 3)).Status);
        Assert.Equal(0x3C, to.Data.Span[4095]);
        Assert.Equal(0x002, queue.Execute(to.Transfer(0x02, 0, 1, nsid: 1)).Status);
        Assert.Equal(0, to.Admin.Execute(new RawCommand(0x06) { Prp1 = to.Data.Iova }.Set(10, 0x10)).Status);
        Assert.Equal([1U, 3U, 0U], MemoryMarshal.Cast<byte, uint>(to.Data.Slice(0, 12)).ToArray());
    }

    [Fact]
    public async Task Doorbells_in_the_hosts_memory_go_on_there()
    {
        await using NvmeRig from = new(overSocket: true);
        await using NvmeRig to = new(overSocket: true, enable: false);
        RawQueue queue = from.CreateQueue(1);
        DmaBuffer shadow = from.Allocate(8192);
        Assert.Equal(0, from.Admin.Execute(new RawCommand(0x7C) { Prp1 = shadow.Iova, Prp2 = shadow.Iova + 4096 }).Status);

        // The command first: the controller may look at the doorbell as soon as it is written.
        queue.Put(from.Transfer(0x02, 0, 1));
        BinaryPrimitives.WriteUInt32LittleEndian(shadow.Slice(8, 4), (uint)queue.Tail);
        queue.Ring();
        Assert.Equal(0, queue.Take().Status);

        _ = MovingHost.MoveIdle(from, to);
        queue = queue.On(to, from);

        for (int round = 0; round < 20; round++)
        {
            queue.Put(to.Transfer(0x02, 0, 1));
            Volatile.Write(ref MemoryMarshal.AsRef<uint>(to.Like(shadow).Slice(8, 4)), (uint)queue.Tail);
            queue.Ring();
            Assert.Equal(0, queue.Take(ring: false).Status);
            Volatile.Write(ref MemoryMarshal.AsRef<uint>(to.Like(shadow).Slice(12, 4)), (uint)queue.Head);
        }
    }

    [Fact]
    public async Task Controller_that_was_not_enabled_can_be_enabled_there()
    {
        await using NvmeRig from = new(overSocket: true, enable: false);
        await using NvmeRig to = new(overSocket: true, enable: false);

        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, DeviceState.Save(from.Connection)));

        to.Enable();
        Assert.Equal(0, to.CreateQueue(1).Execute(to.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Storage_that_cannot_be_flushed_keeps_the_controller_running()
    {
        using var storage = new MemoryBackend(1 << 20);
        var backend = new SharedBackend(storage) { FlushFailure = Errno.EIO };
        await using NvmeRig rig = new(new NvmeOptions { Namespaces = [new() { Backend = _ => backend }] }, overSocket: true);
        RawQueue queue = rig.CreateQueue(1);

        Assert.Equal(Errno.EIO, rig.Connection.TrySetMigrationState(MigrationState.StopCopy));

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
        backend.FlushFailure = Errno.None;
        Assert.NotEmpty(DeviceState.Save(rig.Connection));
    }

    [Theory]
    [InlineData("serial")]
    [InlineData("queues")]
    [InlineData("size")]
    public async Task Controller_that_is_another_is_refused(string what)
    {
        await using NvmeRig from = new(overSocket: true);
        await using NvmeRig to = new(
            what switch
            {
                "serial" => new NvmeOptions { Serial = "OTHER" },
                "queues" => new NvmeOptions { Queues = 3 },
                _ => new NvmeOptions { Namespaces = [new() { Size = 1 << 20 }] },
            },
            overSocket: true,
            enable: false);

        Assert.Equal(Errno.EINVAL, DeviceState.TryRestore(to.Connection, DeviceState.Save(from.Connection)));

        to.Connection.Reset();
        to.Enable();
        Assert.Equal(0, to.CreateQueue(1).Execute(to.Transfer(0x02, 0, 1)).Status);
    }

    /// <summary>Whatever comes: no exception, no hang, and the controller works after a reset.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Any_bytes_are_refused_or_taken_and_the_controller_goes_on(int seed)
    {
        var options = new NvmeOptions { Queues = 4, ManagedCapacity = 1 << 20, Namespaces = [new() { Size = 1 << 20 }] };
        await using NvmeRig from = new(options);
        await using NvmeRig to = new(options, enable: false);
        RawQueue queue = from.CreateQueue(1);
        from.CreateQueue(2);
        from.Data.Slice(0, 512).Fill(0xEE);
        Assert.Equal(0, queue.Execute(from.Transfer(0x01, 0, 1)).Status);
        Assert.Equal(0, queue.Execute(from.Transfer(0x04, 9, 4)).Status);
        from.Admin.Submit(new RawCommand(0x0C));
        byte[] state = DeviceState.Save(from.Connection);
        int head = 12 + BinaryPrimitives.ReadUInt16LittleEndian(state.AsSpan(10));
        var random = new Random(seed);
        int taken = 0;
        for (int round = 0; round < 400; round++)
        {
            byte[] wrong = round % 4 == 0 ? state[..random.Next(state.Length)] : [.. state];
            for (int changes = random.Next(1, 5); changes > 0 && wrong.Length > head; changes--)
            {
                // Half of them in the first parts, where the lengths are.
                int at = random.Next(head, Math.Min(wrong.Length, random.Next(2) == 0 ? head + 700 : wrong.Length));
                wrong[at] = random.Next(3) switch { 0 => 0xFF, 1 => 0, _ => (byte)random.Next(256) };
            }

            taken += DeviceState.TryRestore(to.Connection, wrong) == Errno.None ? 1 : 0;
            to.Connection.Reset();
        }

        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));
        to.Connection.Reset();
        to.Enable();
        RawQueue there = to.CreateQueue(1);
        Assert.Equal(0, there.Execute(to.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(0xEE, to.Data.Span[511]);
        Assert.NotEqual(400, taken);
    }

    private static byte[] Identify(NvmeRig rig, uint nsid)
    {
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06, nsid) { Prp1 = rig.Data.Iova }).Status);
        return rig.Data.Slice(0, 4096).ToArray();
    }
}
