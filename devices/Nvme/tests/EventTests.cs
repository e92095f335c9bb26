using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Asynchronous events, and the logs that tell more.</summary>
public sealed class EventTests
{
    private static RawCommand ReadLog(NvmeRig rig, uint log, int length = 512, bool retain = false)
        => new RawCommand(0x02) { Prp1 = rig.Data.Iova }.Set(10, log | ((uint)((length / 4) - 1) << 16) | (retain ? 0x8000U : 0));

    [Fact]
    public async Task Requests_beyond_the_limit_are_refused_and_can_be_aborted()
    {
        await using var rig = new NvmeRig();
        ushort first = rig.Admin.Submit(new RawCommand(0x0C));
        for (int i = 0; i < 3; i++)
        {
            rig.Admin.Submit(new RawCommand(0x0C));
        }

        Assert.Equal(0x105, rig.Admin.Execute(new RawCommand(0x0C)).Status);

        rig.Admin.Submit(new RawCommand(0x08).Set(10, (uint)first << 16));
        RawCompletion aborted = rig.Admin.Take();
        Assert.Equal((first, 0x007), (aborted.Cid, aborted.Status));
        RawCompletion abort = rig.Admin.Take();
        Assert.Equal((0, 0U), (abort.Status, abort.Result));
        Assert.Equal(1U, rig.Admin.Execute(new RawCommand(0x08).Set(10, (uint)first << 16)).Result);
    }

    [Fact]
    public async Task Wrong_doorbells_are_events_held_back_until_the_error_log_is_read()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1, entries: 8);
        ushort first = rig.Admin.Submit(new RawCommand(0x0C));
        ushort second = rig.Admin.Submit(new RawCommand(0x0C));

        rig.Bar.Write32(0x1000 + (8 * 5), 1);
        RawCompletion completion = rig.Admin.Take();
        Assert.Equal((first, 0, 0x01_00_00U), (completion.Cid, completion.Status, completion.Result));

        rig.Bar.Write32(0x1000 + 8, 8);
        rig.Bar.Write32(0x1004 + 8, 3);
        Thread.Sleep(20);
        Assert.False(rig.Admin.TryTake(out _));
        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 1, retain: true)).Status);
        Thread.Sleep(20);
        Assert.False(rig.Admin.TryTake(out _));

        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 1)).Status);
        completion = rig.Admin.Take();
        Assert.Equal((second, 0, 0x01_01_00U), (completion.Cid, completion.Status, completion.Result));
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Error_log_tells_command_field_and_block()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        ushort cid = queue.Submit(rig.Transfer(0x02, block: 1 << 20, 1));

        // More in the error log; do not retry.
        Assert.Equal(0x6080, queue.Take().StatusField >> 1);

        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 1, 64)).Status);
        Span<byte> entry = rig.Data.Slice(0, 64);
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(entry));
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]));
        Assert.Equal(cid, BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]));
        Assert.Equal(0x80, (BinaryPrimitives.ReadUInt16LittleEndian(entry[12..]) >> 1) & 0x7FF);
        Assert.Equal(40, BinaryPrimitives.ReadUInt16LittleEndian(entry[14..]));
        Assert.Equal(1UL << 20, BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]));
        Assert.Equal(1U, BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]));
    }

    [Fact]
    public async Task Health_log_counts_what_was_done()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 2048)).Status);
        }

        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 8)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x0C, 0, 2048)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x05, 0, 8)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x00).Set(10, 1)).Status);

        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 2)).Status);
        Assert.Equal(0, rig.Data.Span[0]);
        Assert.Equal(310, BinaryPrimitives.ReadUInt16LittleEndian(rig.Data.Slice(1, 2)));
        Assert.Equal(9UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(32, 8)));
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(48, 8)));
        Assert.Equal(4UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(64, 8)));
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(80, 8)));
    }

    [Fact]
    public async Task Temperature_threshold_shows_in_the_health_log_and_as_an_event()
    {
        await using var rig = new NvmeRig();
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 4).Set(11, 300)).Status);

        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 2)).Status);
        Assert.Equal(2, rig.Data.Span[0]);

        // Also as an event, once the host asks for such.
        ushort request = rig.Admin.Submit(new RawCommand(0x0C));
        Thread.Sleep(20);
        Assert.False(rig.Admin.TryTake(out _));
        rig.Admin.Submit(new RawCommand(0x09).Set(10, 0x0B).Set(11, 2));
        RawCompletion[] completions = [rig.Admin.Take(), rig.Admin.Take()];
        Assert.Equal(0x02_01_01U, Assert.Single(completions, completion => completion.Cid == request).Result);
        Assert.Equal(300U, rig.Admin.Execute(new RawCommand(0x0A).Set(10, 4)).Result);
        Assert.Equal(343U, rig.Admin.Execute(new RawCommand(0x0A).Set(10, 4 | (1U << 8))).Result);
    }

    [Fact]
    public async Task Server_that_is_gone_shows_in_the_health_log_and_as_an_event_until_it_is_back()
    {
        using var mayReturn = new ManualResetEventSlim();
        byte[] memory = new byte[1 << 20];
        using var script = new NbdScript((server, number) =>
        {
            if (number != 0 && !mayReturn.IsSet)
            {
                return;
            }

            server.Negotiate();
            if (number == 0)
            {
                // Gone at the first request.
                _ = server.TakeRequest();
                return;
            }

            server.ServeMemory(memory);
        });
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = _ => NvmeBackendUri.Parse(script.Uri + "&reconnect-delay=0").Open() }] });
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 0x0B).Set(11, 4)).Status);
        ushort request = rig.Admin.Submit(new RawCommand(0x0C));
        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 2)).Status);
        Assert.Equal(0, rig.Data.Span[0]);

        Assert.NotEqual(0, queue.Execute(rig.Transfer(0x02, 0, 1, offset: 8192)).Status);
        RawCompletion told = rig.Admin.Take();
        Assert.Equal((request, 0x02_00_01U), (told.Cid, told.Result));
        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 2)).Status);
        Assert.Equal(4, rig.Data.Span[0]);

        mayReturn.Set();
        NvmeRig.WaitFor(() => queue.Execute(rig.Transfer(0x02, 0, 1, offset: 8192)).Status == 0, "the server is not found again");
        Assert.Equal(0, rig.Admin.Execute(ReadLog(rig, 2)).Status);
        Assert.Equal(0, rig.Data.Span[0]);
    }
}
