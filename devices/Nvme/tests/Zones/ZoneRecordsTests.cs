using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Devices.Nvme.Tests.Migration;
using Vfio.Testing;
using static Vfio.Devices.Nvme.Tests.Zones.ZonedRig;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>Zones that outlive the program, or move to another.</summary>
public sealed class ZoneRecordsTests
{
    private static NvmeOptions OnFile(TempFolder folder, string more = "")
        => NvmeOptions.Parse([$"backend=file:{folder["disk"]}?create=1M", "zone_size=128K", "zone_capacity=96K", $"zonefile={folder["zones"]}", .. more.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

    [Fact]
    public async Task Zones_of_a_file_are_as_they_were_but_closed()
    {
        using var folder = new TempFolder();
        await using (var zoned = new ZonedRig(OnFile(folder)))
        {
            Assert.Equal(0, zoned.Write(At(0), 8, 1));
            Assert.Equal(0, zoned.Send(Open, 1));
            Assert.Equal(0, zoned.Write(At(2), 192, 2));
            Assert.Equal(0, zoned.Append(3, 16, 3).Status);
            Assert.Equal(0, zoned.Append(3, 16, 3).Status);
            Assert.Equal(0, zoned.Send(Finish, 4));
            Assert.True(zoned.Rig.Pair.Device.WearOutZone(1, 5));
            Assert.Equal(0, zoned.Write(At(6), 8, 4));
            Assert.Equal(0, zoned.Send(Reset, 6));
        }

        await using (var zoned = new ZonedRig(OnFile(folder)))
        {
            ZoneReport report = ZoneReport.Get(zoned.Rig, zoned.Queue);
            Assert.Equal([Closed, Empty, Full, Closed, Full, ReadOnly, Empty, Empty], report.Zones.Select(static zone => zone.State));
            Assert.Equal((At(0, 8), At(3, 32)), (report.Zones[0].Pointer, report.Zones[3].Pointer));
            Assert.Equal(((0, 1), (0, 2), (0, 3), (0, 0)), (zoned.Read(At(0), 8), zoned.Read(At(2), 192), zoned.Read(At(3), 32), zoned.Read(At(6), 8)));
            Assert.Equal(0x1BC, zoned.Write(At(3), 8));
            Assert.Equal((0, At(3, 32)), zoned.Append(3, 8));
        }
    }

    [Theory]
    [InlineData("zone_size=256K", "of 8 zones of 131072 bytes with a capacity of 98304, not of 4 of 262144 with 98304")]
    [InlineData("zone_capacity=64K", "capacity of 98304, not of 8 of 131072 with 65536")]
    public async Task Records_of_other_zones_are_refused_and_kept(string setting, string message)
    {
        using var folder = new TempFolder();
        await using (var zoned = new ZonedRig(OnFile(folder)))
        {
            Assert.Equal(0, zoned.Write(At(0), 8, 1));
        }

        byte[] before = await File.ReadAllBytesAsync(folder["zones"], TestContext.Current.CancellationToken);
        IOException error = Assert.Throws<IOException>(() => new NvmeDevice(OnFile(folder, setting)));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(folder["zones"], TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(0, (byte)'x', "something else")]
    [InlineData(64 + 2, (byte)1, "zone 0 they say that 65536 bytes")]
    [InlineData(64 + 4, (byte)1, "damaged")]
    [InlineData(64 + 8, (byte)7, "condition is 7")]
    public async Task Damaged_records_are_refused(int offset, byte value, string message)
    {
        using var folder = new TempFolder();
        await using (var zoned = new ZonedRig(OnFile(folder)))
        {
            Assert.Equal(0, zoned.Write(At(0), 8, 1));
        }

        byte[] records = await File.ReadAllBytesAsync(folder["zones"], TestContext.Current.CancellationToken);
        records[offset] = value;
        if (offset == 64 + 2)
        {
            // A whole number of blocks, but more than a smaller capacity.
            records[64 + 1] = 0;
            records[24 + 2] = 0;
            records[24 + 1] = 0xF0;
            await File.WriteAllBytesAsync(folder["zones"], records, TestContext.Current.CancellationToken);
            Assert.Contains(message, Assert.Throws<IOException>(() => new NvmeDevice(OnFile(folder, "zone_capacity=60K"))).Message, StringComparison.Ordinal);
            return;
        }

        await File.WriteAllBytesAsync(folder["zones"], records, TestContext.Current.CancellationToken);
        Assert.Contains(message, Assert.Throws<IOException>(() => new NvmeDevice(OnFile(folder))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Blocks_that_outlive_the_program_need_records_that_do()
    {
        using var folder = new TempFolder();
        NvmeOptions options = NvmeOptions.Parse([$"backend=file:{folder["disk"]}?create=1M", "zone_size=128K"]);
        Assert.Contains("zonefile=PATH", Assert.Throws<IOException>(() => new NvmeDevice(options)).Message, StringComparison.Ordinal);
        Assert.Contains("zone_size", Assert.Throws<IOException>(() => new NvmeDevice(NvmeOptions.Parse(["size=1000K", "zone_size=128K"]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Write_whose_record_fails_is_not_acknowledged()
    {
        var records = new TestBackend(4096);
        await using var zoned = new ZonedRig(new NvmeOptions { Namespaces = [new() { Size = 8 << 17, Zones = new() { Size = 1 << 17, Backend = _ => records } }] });
        Assert.Equal(0, zoned.Write(At(0), 8));
        records.Failure = Errno.EIO;
        Assert.Equal(0x280, zoned.Write(At(0, 8), 8));
        Assert.Equal(0x280, zoned.Append(1, 8).Status);
        Assert.Equal(0x280, zoned.Send(Finish, 2));
        records.Failure = Errno.None;
        Assert.Equal(0, zoned.Write(zoned.Zone(0).Pointer, 8));
    }

    [Fact]
    public async Task Flush_makes_the_pointers_durable_after_the_blocks()
    {
        var order = new List<string>();
        await using var zoned = new ZonedRig(new NvmeOptions
        {
            Namespaces = [new()
            {
                Size = 8 << 17,
                Backend = size => new FlushOrder(size, "blocks", order),
                Zones = new() { Size = 1 << 17, Backend = size => new FlushOrder(size, "pointers", order) },
            }],
        });
        Assert.Equal(0, zoned.Write(At(0), 8));
        Assert.Equal(0, zoned.Queue.Execute(new RawCommand(0x00, 1)).Status);
        Assert.Equal(["blocks", "pointers"], order);

        order.Clear();
        Assert.Equal(0, zoned.Rig.Admin.Execute(new RawCommand(0x09).Set(10, 6)).Status);
        order.Clear();
        Assert.Equal(0, zoned.Send(Finish, 1));
        Assert.Equal(["blocks", "pointers"], order);
    }

    [Fact]
    public async Task Zones_move_to_another_controller_with_what_they_hold()
    {
        await using var from = new ZonedRig(overSocket: true);
        Assert.Equal(0, from.Write(At(0), 8, 1));
        Assert.Equal(0, from.Send(Open, 1));
        Assert.Equal(0, from.Write(At(2), 192, 2));
        Assert.Equal(0, from.Append(3, 16, 3).Status);
        Assert.Equal(0, from.Send(Close, 3));
        Assert.True(from.Rig.Pair.Device.WearOutZone(1, 5, isOffline: true));
        ZoneReport before = ZoneReport.Get(from.Rig, from.Queue);

        await using NvmeRig other = new(Options() with { Namespaces = [Options().Namespaces[0] with { Zones = new() { Size = 1 << 17 } }] }, overSocket: true, enable: false);
        await using NvmeRig next = new(Options(), overSocket: true, enable: false);
        byte[] state = MovingHost.MoveIdle(from.Rig, next);
        Assert.NotEqual(Errno.None, DeviceState.TryRestore(other.Connection, state));
        RawQueue queue = from.Queue.On(next, from.Rig);

        Assert.Equal(before.Zones, ZoneReport.Get(next, queue).Zones);
        RawCompletion append = queue.Execute(next.Transfer(0x7D, At(3), 8));
        Assert.Equal((0, (uint)At(3, 16)), (append.Status, append.Result));
        Assert.Equal(0, queue.Execute(next.Transfer(0x02, At(2), 8)).Status);
        Assert.Equal(-1, next.Data.Slice(0, 4096).IndexOfAnyExcept((byte)2));
    }

    [Fact]
    public async Task Many_zones_travel_too()
    {
        const int Zones = 400_000;
        NvmeOptions Many() => new() { Namespaces = [new() { Size = (ulong)Zones << 16, Backend = static size => new NullBackend(size), Zones = new() { Size = 1 << 16 } }] };
        await using var from = new ZonedRig(Many(), overSocket: true);
        await using NvmeRig to = new(Many(), overSocket: true, enable: false);
        for (int i = 0; i < Zones; i += 1000)
        {
            Assert.Equal(0, from.Queue.Execute(from.Rig.Transfer(0x7D, (ulong)i * 128, 1)).Status);
        }

        Assert.Equal(0, from.Send(Finish | All));
        for (int i = 1; i < Zones; i++)
        {
            Assert.True(from.Rig.Pair.Device.WearOutZone(1, i));
        }

        byte[] state = MovingHost.MoveIdle(from.Rig, to);
        Assert.InRange(state.Length, Zones * 14, (Zones * 14) + (1 << 20));
        RawQueue queue = from.Queue.On(to, from.Rig);
        ZoneReport report = ZoneReport.Get(to, queue, room: 2, filter: 6);
        Assert.Equal(Zones - 1UL, report.Count);
        Assert.Equal([ReadOnly, ReadOnly], report.Zones.Select(static zone => zone.State));
        Assert.Equal(Full, ZoneReport.Get(to, queue, room: 1).Zones[0].State);
    }

    /// <summary>Memory with a cache that notes when it is flushed.</summary>
    private sealed class FlushOrder(ulong length, string name, List<string> order) : INvmeBackend
    {
        private readonly MemoryBackend _memory = new(length);

        public ulong Length => _memory.Length;

        public bool MayWait => false;

        public bool HasVolatileCache => true;

        public bool IsReadOnly => false;

        public Errno Read(ulong offset, Span<byte> destination) => _memory.Read(offset, destination);

        public Errno Write(ulong offset, ReadOnlySpan<byte> source) => _memory.Write(offset, source);

        public Errno Flush()
        {
            order.Add(name);
            return Errno.None;
        }

        public Errno Clear(ulong offset, ulong length) => _memory.Clear(offset, length);

        public void Dispose() => _memory.Dispose();
    }
}
