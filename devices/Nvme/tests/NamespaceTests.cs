using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Namespaces that come and go: by the host's commands, and by the program.</summary>
public sealed class NamespaceTests
{
    private static uint[] List(NvmeRig rig, uint structure)
    {
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, structure)).Status);
        return Identifiers(rig);
    }

    private static uint[] Changed(NvmeRig rig)
    {
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02) { Prp1 = rig.Data.Iova }.Set(10, 4 | (1023U << 16))).Status);
        return Identifiers(rig);
    }

    private static uint[] Identifiers(NvmeRig rig)
    {
        uint[] all = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(rig.Data.Slice(0, 4096)).ToArray();
        return [.. all.TakeWhile(static id => id != 0)];
    }

    private static RawCommand Attachment(NvmeRig rig, uint nsid, uint select)
    {
        rig.Data.Slice(0, 4096).Clear();
        rig.Data.Span[0] = 1;
        rig.Data.Span[2] = 1;
        return new RawCommand(0x15, nsid) { Prp1 = rig.Data.Iova }.Set(10, select);
    }

    private static RawCommand Create(NvmeRig rig, ulong blocks)
    {
        rig.Data.Slice(0, 4096).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Span, blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Slice(8, 8), blocks);
        return new RawCommand(0x0D) { Prp1 = rig.Data.Iova };
    }

    private static ulong FreeCapacity(NvmeRig rig)
    {
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
        return BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(296, 8));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Host_makes_attaches_uses_detaches_and_deletes_a_namespace(bool polled)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, ManagedCapacity = 1 << 20, Namespaces = [new() { Size = 1 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(1UL << 20, FreeCapacity(rig));

        RawCompletion created = rig.Admin.Execute(Create(rig, 1024));
        Assert.Equal((0, 2U), (created.Status, created.Result));
        Assert.Equal(1UL << 19, FreeCapacity(rig));
        Assert.Equal([1U, 2U], List(rig, 0x10));
        Assert.Equal([1U], List(rig, 0x02));
        Assert.Equal(0x02, queue.Execute(rig.Transfer(0x02, 0, 1, nsid: 2)).Status);

        Assert.Equal(0, rig.Admin.Execute(Attachment(rig, 2, 0)).Status);
        Assert.Equal([1U, 2U], List(rig, 0x02));
        rig.Data.Slice(0, 512).Fill(0x42);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 1023, 1, nsid: 2)).Status);
        Assert.Equal(0x80, queue.Execute(rig.Transfer(0x01, 1024, 1, nsid: 2)).Status);

        Assert.Equal(0, rig.Admin.Execute(Attachment(rig, 2, 1)).Status);
        Assert.Equal(0x11A, rig.Admin.Execute(Attachment(rig, 2, 1)).Status);
        Assert.Equal(0x02, queue.Execute(rig.Transfer(0x02, 1023, 1, nsid: 2)).Status);
        Assert.Equal(0, rig.Admin.Execute(Attachment(rig, 2, 0)).Status);
        rig.Data.Slice(0, 512).Clear();
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 1023, 1, nsid: 2)).Status);
        Assert.Equal(0x42, rig.Data.Span[511]);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x0D, 2).Set(10, 1)).Status);
        Assert.Equal([1U], List(rig, 0x10));
        Assert.Equal(1UL << 20, FreeCapacity(rig));
        for (int round = 0; round < 50; round++)
        {
            Assert.Equal(0, rig.Admin.Execute(Create(rig, 2048)).Status);
            Assert.Equal(0x115, rig.Admin.Execute(Create(rig, 1)).Status);
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x0D, 2).Set(10, 1)).Status);
        }
    }

    [Fact]
    public async Task Program_attaches_and_detaches_and_the_host_hears_of_it_once_it_asked()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        ushort request = rig.Admin.Submit(new RawCommand(0x0C));
        uint silent = rig.Pair.Device.AttachNamespace(new NvmeNamespaceOptions { Size = 1 << 20 });
        Assert.Equal(2U, silent);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1, nsid: 2)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 0x0B).Set(11, 1U << 8)).Status);

        Assert.Equal(3U, rig.Pair.Device.AttachNamespace(new NvmeNamespaceOptions { Size = 1 << 20, BlockSize = 4096 }));
        RawCompletion told = rig.Admin.Take();
        Assert.Equal((request, 0x04_00_02U), (told.Cid, told.Result));
        Assert.Equal([2U, 3U], Changed(rig));
        Assert.Empty(Changed(rig));
        Assert.Equal([1U, 2U, 3U], List(rig, 0x02));

        rig.Admin.Submit(new RawCommand(0x0C));
        Assert.True(rig.Pair.Device.DetachNamespace(2));
        Assert.Equal(0x04_00_02U, rig.Admin.Take().Result);
        Assert.Equal([2U], Changed(rig));
        Assert.Equal([1U, 3U], List(rig, 0x02));
        Assert.Equal(0x02, queue.Execute(rig.Transfer(0x02, 0, 1, nsid: 2)).Status);
        Assert.False(rig.Pair.Device.DetachNamespace(2));
        Assert.False(rig.Pair.Device.DetachNamespace(0));
        Assert.Equal(2U, rig.Pair.Device.AttachNamespace(new NvmeNamespaceOptions { Size = 1 << 20 }));
    }

    [Fact]
    public async Task Detach_waits_for_the_command_under_way_before_the_backend_is_disposed()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20 }, new() { Backend = size => backend = new TestBackend(size) { MayWait = true, HasVolatileCache = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        backend!.Arrived.Reset();
        backend.Gate.Reset();
        ushort[] running = [.. Enumerable.Range(0, QueueLanes.Count).Select(i => queue.Put(rig.Transfer(0x02, (ulong)i * 8, 8, nsid: 2)))];
        ushort waiting = queue.Submit(rig.Transfer(0x02, 0, 8, nsid: 2));
        NvmeRig.WaitFor(() => backend.Waiting == QueueLanes.Count, "the commands do not reach the backend together");

        // On a thread of its own: those of the pool may all be waiting for the backend.
        Task<bool> detach = Task.Factory.StartNew(() => rig.Pair.Device.DetachNamespace(2), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        NvmeRig.WaitFor(() => !List(rig, 0x02).Contains(2U), "the namespace is not gone from the list");
        Assert.False(detach.IsCompleted);
        backend.Gate.Set();

        Assert.True(await detach);
        Assert.Equal(1, backend.Flushes);
        RawCompletion[] completions = [.. Enumerable.Range(0, QueueLanes.Count + 1).Select(_ => queue.Take())];
        Assert.Equal([.. running.Select(static cid => (cid, 0)), (waiting, 0x02)], completions.Select(static c => (c.Cid, c.Status)).Order());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Namespaces_come_and_go_under_load(bool polled)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Namespaces = [new() { Size = 1 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        using var stop = new CancellationTokenSource();
        Task load = Task.Run(
            () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    int status = queue.Execute(rig.Transfer(0x02, 0, 64, nsid: 2)).Status;
                    Assert.True(status is 0 or 2, $"{status:X}");
                }
            },
            TestContext.Current.CancellationToken);
        for (int round = 0; round < 200; round++)
        {
            Assert.Equal(2U, rig.Pair.Device.AttachNamespace(new NvmeNamespaceOptions { Size = 1 << 20 }));
            Assert.True(rig.Pair.Device.DetachNamespace(2));
        }

        await stop.CancelAsync();
        await load;
    }

    [Fact]
    public async Task Write_protection_holds_until_the_host_takes_it_away()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09, 1).Set(10, 0x84).Set(11, 1)).Status);
        Assert.Equal(1U, rig.Admin.Execute(new RawCommand(0x0A, 1).Set(10, 0x84)).Result);
        foreach (byte opcode in (byte[])[0x01, 0x04, 0x08])
        {
            Assert.Equal(0x20, queue.Execute(rig.Transfer(opcode, 0, 1)).Status);
        }

        Assert.Equal(0x20, rig.Admin.Execute(new RawCommand(0x80, 1)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09, 1).Set(10, 0x84)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 1)).Status);
    }

    [Fact]
    public async Task Timestamp_goes_on_from_what_the_host_set_and_the_host_identifier_is_set_once()
    {
        await using var rig = new NvmeRig();
        BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Span, 1_800_000_000_000);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09) { Prp1 = rig.Data.Iova }.Set(10, 0x0E)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x0A) { Prp1 = rig.Data.Iova }.Set(10, 0x0E)).Status);
        ulong read = BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Span);
        Assert.Equal(2UL, read >> 48);
        Assert.InRange(read & 0xFFFF_FFFF_FFFF, 1_800_000_000_000UL, 1_800_000_100_000UL);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09) { Prp1 = rig.Data.Iova }.Set(10, 0x81).Set(11, 1)).Status);
        Assert.Equal(0x0C, rig.Admin.Execute(new RawCommand(0x09) { Prp1 = rig.Data.Iova }.Set(10, 0x81).Set(11, 1)).Status);
        rig.Data.Slice(0, 16).Clear();
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x0A) { Prp1 = rig.Data.Iova }.Set(10, 0x81).Set(11, 1)).Status);
        Assert.Equal(read, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Span));
    }
}
