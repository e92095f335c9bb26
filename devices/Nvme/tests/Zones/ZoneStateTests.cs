using Vfio.Devices.Nvme.Tests.Harness;
using static Vfio.Devices.Nvme.Tests.Zones.ZonedRig;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>States, their transitions, and how many zones may be in them.</summary>
public sealed class ZoneStateTests
{
    private const int InvalidTransition = 0x1BF;
    private const int TooManyActive = 0x1BD;
    private const int TooManyOpen = 0x1BE;

    /// <summary>Brings zone 0 into a state.</summary>
    private static void Make(ZonedRig zoned, int state)
    {
        switch (state)
        {
            case ImplicitlyOpened:
                Assert.Equal(0, zoned.Write(At(0), 8));
                break;
            case ExplicitlyOpened:
                Assert.Equal(0, zoned.Send(Open));
                break;
            case Closed:
                Assert.Equal(0, zoned.Write(At(0), 8));
                Assert.Equal(0, zoned.Send(Close));
                break;
            case Full:
                Assert.Equal(0, zoned.Send(Finish));
                break;
            case ReadOnly or Offline:
                Assert.Equal(0, zoned.Write(At(0), 8));
                Assert.True(zoned.Rig.Pair.Device.WearOutZone(1, 0, isOffline: state == Offline));
                break;
        }

        Assert.Equal(state, zoned.State(0));
    }

    /// <summary>Each state and action of ZNS Command Set 1.1 §2.1.1.3, and what becomes of the zone; 0 for a transition that there is not.</summary>
    [Theory]
    [InlineData(Empty, Close, 0)]
    [InlineData(Empty, Finish, Full)]
    [InlineData(Empty, Open, ExplicitlyOpened)]
    [InlineData(Empty, Reset, Empty)]
    [InlineData(Empty, TakeOffline, 0)]
    [InlineData(ImplicitlyOpened, Close, Closed)]
    [InlineData(ImplicitlyOpened, Finish, Full)]
    [InlineData(ImplicitlyOpened, Open, ExplicitlyOpened)]
    [InlineData(ImplicitlyOpened, Reset, Empty)]
    [InlineData(ImplicitlyOpened, TakeOffline, 0)]
    [InlineData(ExplicitlyOpened, Close, Closed)]
    [InlineData(ExplicitlyOpened, Finish, Full)]
    [InlineData(ExplicitlyOpened, Open, ExplicitlyOpened)]
    [InlineData(ExplicitlyOpened, Reset, Empty)]
    [InlineData(ExplicitlyOpened, TakeOffline, 0)]
    [InlineData(Closed, Close, Closed)]
    [InlineData(Closed, Finish, Full)]
    [InlineData(Closed, Open, ExplicitlyOpened)]
    [InlineData(Closed, Reset, Empty)]
    [InlineData(Closed, TakeOffline, 0)]
    [InlineData(Full, Close, 0)]
    [InlineData(Full, Finish, Full)]
    [InlineData(Full, Open, 0)]
    [InlineData(Full, Reset, Empty)]
    [InlineData(Full, TakeOffline, 0)]
    [InlineData(ReadOnly, Close, 0)]
    [InlineData(ReadOnly, Finish, 0)]
    [InlineData(ReadOnly, Open, 0)]
    [InlineData(ReadOnly, Reset, 0)]
    [InlineData(ReadOnly, TakeOffline, Offline)]
    [InlineData(Offline, Close, 0)]
    [InlineData(Offline, Finish, 0)]
    [InlineData(Offline, Open, 0)]
    [InlineData(Offline, Reset, 0)]
    [InlineData(Offline, TakeOffline, Offline)]
    public async Task Action_changes_the_state_or_is_refused(int state, uint action, int next)
    {
        await using var zoned = new ZonedRig();
        Make(zoned, state);

        Assert.Equal(next == 0 ? InvalidTransition : 0, zoned.Send(action));
        Assert.Equal(next == 0 ? state : next, zoned.State(0));
    }

    [Theory]
    [InlineData(Close, new[] { Empty, Closed, Closed, Closed, Full, ReadOnly })]
    [InlineData(Finish, new[] { Empty, Full, Full, Full, Full, ReadOnly })]
    [InlineData(Open, new[] { Empty, ImplicitlyOpened, ExplicitlyOpened, ExplicitlyOpened, Full, ReadOnly })]
    [InlineData(Reset, new[] { Empty, Empty, Empty, Empty, Empty, ReadOnly })]
    [InlineData(TakeOffline, new[] { Empty, ImplicitlyOpened, ExplicitlyOpened, Closed, Full, Offline })]
    public async Task Select_all_means_the_zones_that_are_in_a_state_for_it(uint action, int[] next)
    {
        await using var zoned = new ZonedRig();
        zoned.MakeOneOfEach();

        Assert.Equal(0, zoned.Send(action | All, zone: 7));

        Assert.Equal(next, ZoneReport.Get(zoned.Rig, zoned.Queue, room: 6).Zones.Select(static zone => zone.State));
    }

    [Fact]
    public async Task Reset_zone_reads_as_zeros_and_is_written_from_its_start()
    {
        await using var zoned = new ZonedRig();
        Assert.Equal(0, zoned.Write(At(4), 192, 1));
        Assert.Equal(0, zoned.Write(At(5), 192, 2));

        Assert.Equal(0, zoned.Send(Reset, 4));

        Assert.Equal((0, 0), zoned.Read(At(4), 192));
        Assert.Equal((0, 2), zoned.Read(At(5), 192));
        Assert.Equal(0, zoned.Write(At(4), 4, 3));
        Assert.Equal((0, 3), zoned.Read(At(4), 4));
    }

    [Fact]
    public async Task Worn_zones_are_read_or_not_and_never_written()
    {
        await using var zoned = new ZonedRig();
        Assert.Equal(0, zoned.Write(At(0), 8, 1));
        Assert.Equal(0, zoned.Write(At(1), 8, 2));
        NvmeDevice device = zoned.Rig.Pair.Device;
        Assert.True(device.WearOutZone(1, 0));
        Assert.True(device.WearOutZone(1, 1, isOffline: true));
        Assert.False(device.WearOutZone(1, 8));
        Assert.False(device.WearOutZone(2, 0));

        Assert.Equal((0x1BA, 0x1BA), (zoned.Write(At(0, 8), 8), zoned.Append(0, 8).Status));
        Assert.Equal((0x1BB, 0x1BB), (zoned.Write(At(1, 8), 8), zoned.Append(1, 8).Status));
        Assert.Equal((0, 1), zoned.Read(At(0), 8));
        Assert.Equal(0x1BB, zoned.Read(At(1), 8).Status);
        Assert.Equal((ReadOnly, ulong.MaxValue), (zoned.State(0), zoned.Zone(0).Pointer));
        Assert.Equal((Offline, ulong.MaxValue), (zoned.State(1), zoned.Zone(1).Pointer));

        // A format does not mend what is worn out.
        Assert.Equal(0, zoned.Rig.Admin.Execute(new RawCommand(0x80, 1)).Status);
        Assert.Equal((ReadOnly, Offline), (zoned.State(0), zoned.State(1)));
    }

    [Fact]
    public async Task Opened_by_a_write_makes_room_and_opened_by_the_host_does_not()
    {
        await using var zoned = new ZonedRig(Options(maxOpen: 2, maxActive: 4));
        Assert.Equal(0, zoned.Write(At(0), 8));
        Assert.Equal(0, zoned.Send(Open, 1));

        Assert.Equal(0, zoned.Write(At(2), 8));
        Assert.Equal((Closed, ExplicitlyOpened, ImplicitlyOpened), (zoned.State(0), zoned.State(1), zoned.State(2)));
        Assert.Equal(0, zoned.Send(Open, 2));

        Assert.Equal(TooManyOpen, zoned.Write(At(3), 8));
        Assert.Equal(TooManyOpen, zoned.Append(3, 8).Status);
        Assert.Equal(TooManyOpen, zoned.Send(Open, 3));
        Assert.Equal(TooManyOpen, zoned.Write(At(0, 8), 8));
        Assert.Equal(TooManyOpen, zoned.Send(Open | All));
        Assert.Equal(Closed, zoned.State(0));
        Assert.Equal(0, zoned.Send(Close, 1));
        Assert.Equal(0, zoned.Write(At(0, 8), 8));
        Assert.Equal(ImplicitlyOpened, zoned.State(0));
    }

    [Fact]
    public async Task Active_zones_end_by_being_full_or_reset()
    {
        await using var zoned = new ZonedRig(Options(maxActive: 3));
        Assert.Equal(0, zoned.Write(At(0), 8));
        Assert.Equal(0, zoned.Send(Open, 1));
        Assert.Equal(0, zoned.Write(At(2), 191));
        Assert.Equal(0, zoned.Send(Close | All));

        Assert.Equal((TooManyActive, TooManyActive, TooManyActive), (zoned.Write(At(3), 8), zoned.Append(4, 8).Status, zoned.Send(Open, 5)));
        Assert.Equal(0, zoned.Send(Finish, 6));
        Assert.Equal(0, zoned.Append(2, 1).Status);
        Assert.Equal(0, zoned.Write(At(3), 8));
        Assert.Equal(TooManyActive, zoned.Write(At(4), 8));
        Assert.Equal(0, zoned.Send(Reset, 1));
        Assert.Equal(0, zoned.Write(At(4), 8));
    }

    [Fact]
    public async Task Controller_reset_keeps_the_zones_and_a_format_empties_them()
    {
        await using var zoned = new ZonedRig();
        Assert.Equal(0, zoned.Write(At(0), 8, 3));
        Assert.Equal(0, zoned.Send(Open, 1));

        zoned.Rig.Disable();
        zoned.Rig.Enable();
        RawQueue queue = zoned.Rig.CreateQueue(1);
        Assert.Equal([ImplicitlyOpened, ExplicitlyOpened], ZoneReport.Get(zoned.Rig, queue, room: 2).Zones.Select(static zone => zone.State));

        Assert.Equal(0, zoned.Rig.Admin.Execute(new RawCommand(0x80, 1).Set(10, 1)).Status);
        ZoneReport report = ZoneReport.Get(zoned.Rig, queue);
        Assert.All(report.Zones, static zone => Assert.Equal((Empty, 24UL), (zone.State, zone.Capacity)));
        Assert.Equal(32UL, report.Zones[1].Start);
        Assert.Equal(0, queue.Execute(zoned.Rig.Transfer(0x01, 32, 1, blockSize: 4096)).Status);
    }
}
