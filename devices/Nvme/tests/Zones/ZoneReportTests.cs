using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;
using static Vfio.Devices.Nvme.Tests.Zones.ZonedRig;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>What the host is told: reports, and how the controller announces zones.</summary>
public sealed class ZoneReportTests
{
    [Theory]
    [InlineData(0, new[] { 0, 1, 2, 3, 4, 5, 6, 7 })]
    [InlineData(1, new[] { 0, 7 })]
    [InlineData(2, new[] { 1 })]
    [InlineData(3, new[] { 2 })]
    [InlineData(4, new[] { 3 })]
    [InlineData(5, new[] { 4 })]
    [InlineData(6, new[] { 5 })]
    [InlineData(7, new[] { 6 })]
    public async Task Report_has_the_zones_of_a_state(byte filter, int[] zones)
    {
        await using var zoned = new ZonedRig();
        zoned.MakeOneOfEach();

        ZoneReport report = ZoneReport.Get(zoned.Rig, zoned.Queue, filter: filter);

        Assert.Equal((ulong)zones.Length, report.Count);
        Assert.Equal(zones.Select(static zone => At(zone)), report.Zones.Select(static zone => zone.Start));
    }

    [Fact]
    public async Task Count_is_of_all_or_of_those_that_there_is_room_for()
    {
        await using var zoned = new ZonedRig();

        ZoneReport all = ZoneReport.Get(zoned.Rig, zoned.Queue, At(3, 17), room: 2);
        ZoneReport some = ZoneReport.Get(zoned.Rig, zoned.Queue, At(3, 17), room: 2, isPartial: true);
        ZoneReport none = ZoneReport.Get(zoned.Rig, zoned.Queue, room: 0);

        Assert.Equal((5UL, 2UL, 8UL), (all.Count, some.Count, none.Count));
        Assert.Equal([At(3), At(4)], all.Zones.Select(static zone => zone.Start));
        Assert.Equal(all.Zones, some.Zones);
        Assert.Empty(none.Zones);
    }

    [Fact]
    public async Task Report_may_be_longer_than_a_page_and_end_inside_a_descriptor()
    {
        await using var zoned = new ZonedRig(Options(zones: 300));

        ZoneReport report = ZoneReport.Get(zoned.Rig, zoned.Queue, room: 400);
        Assert.Equal(Enumerable.Range(0, 300).Select(static zone => At(zone)), report.Zones.Select(static zone => zone.Start));

        zoned.Rig.Data.Slice(0, 8192).Fill(0xEE);
        Assert.Equal(0, zoned.Queue.Execute(new RawCommand(0x7A, 1) { Prp1 = zoned.Rig.Data.Iova, Prp2 = zoned.Rig.Data.Iova + 4096 }.Set(12, (4096 + 100) / 4 - 1)).Status);
        Assert.Equal(-1, zoned.Rig.Data.Slice(4096 + 64, 36).IndexOfAnyExcept((byte)0));
        Assert.Equal(0xEE, zoned.Rig.Data.Slice(4096 + 100, 1)[0]);
    }

    [Fact]
    public async Task Command_set_of_zones_is_announced_where_there_are_zones()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new(), new() { Size = 8 << 17, BlockSize = 4096, Zones = new() { Size = 1 << 17, Capacity = 96 * 1024, MaxOpen = 3, MaxActive = 5 } }] }, enable: false);
        await using var plain = new NvmeRig();
        Assert.Equal((1UL << 43) | (1UL << 37), rig.Bar.Read64(0) & (0xFFUL << 37));
        Assert.Equal(1UL << 37, plain.Bar.Read64(0) & (0xFFUL << 37));
        rig.Enable(configuration: NvmeRig.EnabledConfiguration | (6 << 4));
        ReadOnlySpan<byte> Identify(uint structure, uint nsid, uint set = 0)
        {
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06, nsid) { Prp1 = rig.Data.Iova }.Set(10, structure).Set(11, set << 24)).Status);
            return rig.Data.Slice(0, 4096);
        }

        Assert.Equal(1U | (2UL << 32), BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x02, 0)));
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x07, 0)));
        Assert.Equal(2UL, BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x07, 0, set: 2)));
        Assert.Equal(5UL, BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x1C | (0xFFFFU << 16), 0)));
        Assert.Equal(8, Identify(0x06, 0, set: 2)[0]);
        Assert.Equal((256UL, 192UL), (BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x00, 2)), BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x00, 2)[8..])));
        Assert.Equal((4, 0), (Identify(0x03, 1)[52], Identify(0x03, 1)[56]));
        Assert.Equal((4, 2), (Identify(0x03, 2)[52], Identify(0x03, 2)[56]));
        ReadOnlySpan<byte> zoned = Identify(0x05, 2, set: 2);
        Assert.Equal((0, 1), (BinaryPrimitives.ReadUInt16LittleEndian(zoned), BinaryPrimitives.ReadUInt16LittleEndian(zoned[2..])));
        Assert.Equal((4U, 2U), (BinaryPrimitives.ReadUInt32LittleEndian(zoned[4..]), BinaryPrimitives.ReadUInt32LittleEndian(zoned[8..])));
        Assert.Equal((256UL, 32UL), (BinaryPrimitives.ReadUInt64LittleEndian(zoned[2816..]), BinaryPrimitives.ReadUInt64LittleEndian(zoned[2832..])));

        uint Effects(uint set, byte opcode)
        {
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02) { Prp1 = rig.Data.Iova }.Set(10, 5 | (1023U << 16)).Set(14, set << 24)).Status);
            return BinaryPrimitives.ReadUInt32LittleEndian(rig.Data.Slice((nuint)(1024 + (opcode * 4)), 4));
        }

        Assert.Equal((0U, 3U, 1U, 3U, 3U), (Effects(0, 0x7D), Effects(2, 0x7D), Effects(2, 0x7A), Effects(2, 0x79), Effects(2, 0x01)));
        Assert.Throws<InvalidOperationException>(() => plain.Pair.Device.AttachNamespace(new() { Size = 1 << 20, Zones = new() { Size = 1 << 17 } }));
        Assert.Equal(3U, rig.Pair.Device.AttachNamespace(new() { Size = 1 << 20, Zones = new() { Size = 1 << 17 } }));
        Assert.Equal(2U | (3UL << 32), BinaryPrimitives.ReadUInt64LittleEndian(Identify(0x07, 0, set: 2)));
    }

    [Fact]
    public async Task All_command_sets_cannot_be_chosen_where_there_is_one()
    {
        await using var rig = new NvmeRig(enable: false);
        rig.Enable(configuration: NvmeRig.EnabledConfiguration | (6 << 4));
        Assert.Equal(2U, rig.Status & 3);
    }
}
