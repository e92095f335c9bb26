using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;
using static Vfio.Devices.Nvme.Tests.Zones.ZonedRig;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>What is written where, and what is read back.</summary>
public sealed class ZoneWriteTests
{
    private const int BoundaryError = 0x1B8;
    private const int IsFull = 0x1B9;
    private const int InvalidWrite = 0x1BC;

    [Fact]
    public async Task Blocks_are_written_one_after_the_other_until_the_zone_is_full()
    {
        await using var zoned = new ZonedRig();

        Assert.Equal(InvalidWrite, zoned.Write(At(2, 8), 8));
        Assert.Equal(0, zoned.Write(At(2), 8, 1));
        Assert.Equal(new ZoneReport.Zone(ImplicitlyOpened, Capacity, At(2), At(2, 8)), zoned.Zone(2));
        Assert.Equal(InvalidWrite, zoned.Write(At(2), 8, 2));
        Assert.Equal(InvalidWrite, zoned.Write(At(2, 16), 8, 2));
        Assert.Equal(0, zoned.Write(At(2, 8), 180, 3));
        Assert.Equal(BoundaryError, zoned.Write(At(2, 188), 5, 4));
        Assert.Equal(0, zoned.Write(At(2, 188), 4, 4));

        Assert.Equal(new ZoneReport.Zone(Full, Capacity, At(2), ulong.MaxValue), zoned.Zone(2));
        Assert.Equal(IsFull, zoned.Write(At(2, 192), 1));
        Assert.Equal((0, 1), zoned.Read(At(2), 8));
        Assert.Equal((0, 3), zoned.Read(At(2, 8), 180));
        Assert.Equal((0, 4), zoned.Read(At(2, 188), 4));
        Assert.Equal((0, 0), zoned.Read(At(1), 192));
    }

    [Fact]
    public async Task Blocks_behind_the_capacity_are_neither_read_nor_written()
    {
        await using var zoned = new ZonedRig();

        Assert.Equal(BoundaryError, zoned.Write(At(0), 193));
        Assert.Equal(BoundaryError, zoned.Read(At(0, 191), 2).Status);
        Assert.Equal(BoundaryError, zoned.Read(At(0, 192), 1).Status);
        Assert.Equal(BoundaryError, zoned.Queue.Execute(zoned.Rig.Transfer(0x0C, At(0, 190), 3)).Status);
        Assert.Equal(Empty, zoned.State(0));
    }

    [Fact]
    public async Task Reads_cross_the_boundaries_of_zones_that_can_be_written_to_their_end()
    {
        await using var zoned = new ZonedRig(new NvmeOptions { Namespaces = [new() { Size = 4 << 17, Zones = new() { Size = 1 << 17 } }] });
        Assert.Equal(0, zoned.Write(At(0), 256, 7));
        Assert.Equal(0, zoned.Write(At(1), 4, 7));

        Assert.Equal((0, 7), zoned.Read(At(0, 250), 10));
        Assert.Equal(BoundaryError, zoned.Write(At(1, 4), 256));
    }

    [Fact]
    public async Task Append_tells_where_it_wrote()
    {
        await using var zoned = new ZonedRig();

        Assert.Equal((0, At(3)), zoned.Append(3, 10, 1));
        Assert.Equal(0, zoned.Write(At(3, 10), 1, 2));
        Assert.Equal((0, At(3, 11)), zoned.Append(3, 170, 3));
        Assert.Equal(BoundaryError, zoned.Append(3, 12).Status);
        Assert.Equal((0, At(3, 181)), zoned.Append(3, 11, 4));
        Assert.Equal(IsFull, zoned.Append(3, 1).Status);

        Assert.Equal(((0, 1), (0, 2), (0, 3), (0, 4)), (zoned.Read(At(3), 10), zoned.Read(At(3, 10), 1), zoned.Read(At(3, 11), 170), zoned.Read(At(3, 181), 11)));
    }

    [Fact]
    public async Task Block_addresses_above_32_bits_are_told_whole()
    {
        const ulong Zone = 1UL << 40;
        await using var zoned = new ZonedRig(new NvmeOptions { Namespaces = [new() { Size = 4 * Zone, Backend = static size => new NullBackend(size), Zones = new() { Size = Zone } }] });
        RawCompletion completion = zoned.Queue.Execute(zoned.Rig.Transfer(0x7D, 3 * Zone / 512, 8));
        completion = zoned.Queue.Execute(zoned.Rig.Transfer(0x7D, 3 * Zone / 512, 8));

        Assert.Equal((0, (3 * Zone / 512) + 8), (completion.Status, completion.Result | ((ulong)completion.Result1 << 32)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Queues_append_to_one_zone_at_a_time_and_lose_nothing(bool waits)
    {
        const int Each = 500;
        const int Queues = 3;
        await using var zoned = new ZonedRig(new NvmeOptions
        {
            Queues = 4,
            Namespaces = [new() { Size = 1 << 21, Backend = waits ? static size => new TestBackend(size) { MayWait = true } : null, Zones = new() { Size = 1 << 20 } }],
        });
        NvmeRig rig = zoned.Rig;
        RawQueue[] queues = [.. Enumerable.Range(2, Queues).Select(id => rig.CreateQueue(id, entries: 64))];
        var places = new List<(ulong Block, uint Value)>();
        for (int i = 0; i < Queues * 64; i++)
        {
            // The number of the page that a command writes is its value.
            BinaryPrimitives.WriteInt32LittleEndian(rig.Data.Slice((nuint)(i * 512), 4), i + 1);
        }

        int[] submitted = new int[Queues];
        for (int done = 0; done < Each * Queues;)
        {
            for (int q = 0; q < Queues; q++)
            {
                bool isNew = false;
                for (; submitted[q] < Each && (submitted[q] - places.Count(place => (place.Value - 1) / 64 == q)) < 63; submitted[q]++, isNew = true)
                {
                    queues[q].Put(rig.Transfer(0x7D, 0, 1, offset: ((q * 64) + queues[q].Tail) * 512));
                }

                if (isNew)
                {
                    queues[q].Ring();
                }

                while (queues[q].TryTake(out RawCompletion completion))
                {
                    Assert.Equal(0, completion.Status);
                    places.Add((completion.Result, (uint)((q * 64) + (completion.Cid % 64) + 1)));
                    done++;
                }
            }
        }

        Assert.Equal(Enumerable.Range(0, Each * Queues).Select(static block => (ulong)block), places.Select(static place => place.Block).Order());
        foreach ((ulong block, uint value) in places)
        {
            Assert.Equal(0, zoned.Queue.Execute(rig.Transfer(0x02, block, 1, offset: 1 << 20)).Status);
            Assert.Equal(value, BinaryPrimitives.ReadUInt32LittleEndian(rig.Data.Slice(1 << 20, 4)));
        }
    }

    [Fact]
    public async Task Write_that_fails_gives_its_place_back()
    {
        await using var zoned = new ZonedRig();
        Assert.Equal(0, zoned.Write(At(0), 8));

        RawCommand unmapped = zoned.Rig.Transfer(0x01, At(0, 8), 8);
        unmapped.Prp1 = 0x00F0_0000_0000;
        Assert.Equal(0x004, zoned.Queue.Execute(unmapped).Status);
        Assert.Equal(At(0, 8), zoned.Zone(0).Pointer);

        unmapped = zoned.Rig.Transfer(0x7D, At(0), 184);
        unmapped.Prp1 = 0x00F0_0000_0000;
        unmapped.Prp2 = 0;
        Assert.NotEqual(0, zoned.Queue.Execute(unmapped).Status);
        Assert.Equal((ImplicitlyOpened, At(0, 8)), (zoned.State(0), zoned.Zone(0).Pointer));
        Assert.Equal(0, zoned.Write(At(0, 8), 184));
        Assert.Equal(Full, zoned.State(0));
        Assert.Equal(0, zoned.Send(Reset));

        // What a part of it has left behind the pointer goes with a reset.
        RawCommand half = zoned.Rig.Transfer(0x01, At(0), 16);
        zoned.Rig.Data.Slice(0, 4096).Fill(0x77);
        half.Prp2 = 0x00F0_0000_0000;
        Assert.Equal(0x004, zoned.Queue.Execute(half).Status);
        Assert.Equal(At(0), zoned.Zone(0).Pointer);
        Assert.Equal(0, zoned.Send(Reset));
        Assert.Equal((0, 0), zoned.Read(At(0), 16));
    }

    [Fact]
    public async Task Zeros_marks_and_copies_are_written_in_order_too()
    {
        await using var zoned = new ZonedRig();
        NvmeRig rig = zoned.Rig;
        Assert.Equal(0, zoned.Write(At(0), 8, 9));

        Assert.Equal(InvalidWrite, zoned.Queue.Execute(rig.Transfer(0x08, At(1, 1), 4)).Status);
        Assert.Equal(0, zoned.Queue.Execute(rig.Transfer(0x08, At(1), 4)).Status);
        Assert.Equal(InvalidWrite, zoned.Queue.Execute(rig.Transfer(0x04, At(1), 4)).Status);
        Assert.Equal(0, zoned.Queue.Execute(rig.Transfer(0x04, At(1, 4), 4)).Status);
        RawCommand Copy(ulong target)
        {
            rig.Data.Slice(0, 32).Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Slice(8, 8), At(0));
            BinaryPrimitives.WriteUInt16LittleEndian(rig.Data.Slice(16, 2), 7);
            return new RawCommand(0x19, 1) { Prp1 = rig.Data.Iova }.Set(10, (uint)target);
        }

        Assert.Equal(InvalidWrite, zoned.Queue.Execute(Copy(At(1))).Status);
        Assert.Equal(0, zoned.Queue.Execute(Copy(At(1, 8))).Status);

        Assert.Equal(At(1, 16), zoned.Zone(1).Pointer);
        Assert.Equal((0, 0), zoned.Read(At(1), 4));
        Assert.Equal(0x281, zoned.Read(At(1, 4), 1).Status);
        Assert.Equal((0, 9), zoned.Read(At(1, 8), 8));
    }

    [Fact]
    public async Task Appends_allocate_nothing()
    {
        await using var zoned = new ZonedRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 27, Zones = new() { Size = 1 << 26, MaxOpen = 4, MaxActive = 4 } }] });
        RawCommand append = zoned.Rig.Transfer(0x7D, 0, 8);
        int failures = 0;
        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                zoned.Queue.Submit(append);
                RawCompletion completion;
                while (!zoned.Queue.TryTake(out completion))
                {
                }

                failures += completion.Status == 0 ? 0 : 1;
            }
        }

        Run(4000);

        // Other tests of the process allocate meanwhile, but not all the time.
        long allocated = long.MaxValue;
        for (int round = 0; round < 10 && allocated >= 800; round++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Run(800);
            allocated = Math.Min(allocated, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.True(allocated < 800, $"{allocated} bytes for 800 commands");
        Assert.Equal(0, failures);
    }
}
