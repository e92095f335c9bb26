using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 74 to 84: reset, migration, dirty page logging.</summary>
public sealed class FeatureCases : ConformanceTest
{
    private const uint Get = 1 << 16;
    private const uint Set = 1 << 17;
    private const uint Probe = 1 << 18;
    private const uint Migration = 1;
    private const uint DeviceState = 2;
    private const uint LogStart = 6;
    private const uint LogStop = 7;
    private const uint LogReport = 8;
    private const ulong Page = 4096;

    private static VfioUserMessage Send(RawVfioUserClient client, uint flags, uint argsz, params byte[] data)
        => client.Request(VfioUserCommand.DeviceFeature, Feature(flags, argsz, data));

    private static byte[] State(MigrationState state) => Bytes(new vfio_device_feature_mig_state { device_state = (uint)state, data_fd = -1 });

    private static Errno SetState(RawVfioUserClient client, MigrationState state)
    {
        using VfioUserMessage reply = Send(client, DeviceState | Set, 16, State(state));
        return reply.Error;
    }

    private static MigrationState GetState(RawVfioUserClient client)
    {
        using VfioUserMessage reply = Send(client, DeviceState | Get, 16);
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(16, reply.Payload.Length);
        return (MigrationState)reply.Read<uint>(8);
    }

    [Theory]
    [InlineData(MigrationState.Running)]
    [InlineData(MigrationState.Stop)]
    [InlineData(MigrationState.StopCopy)]
    [InlineData(MigrationState.Resuming)]
    [InlineData(MigrationState.PreCopy)]
    public void Case074_reset_keeps_mappings_and_eventfds(MigrationState state)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using FakeGuestMemory memory = new(0, 0x4000);
        using EventFd eventFd = new();
        Assert.Equal(Errno.None, client.MapDma(0x10000, 0x4000, memory.Descriptor));
        Assert.Equal(Errno.None, client.SetIrqs(2, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, default, eventFd.Descriptor));
        Write64(client, 0, 0x1234);
        Assert.Equal(Errno.None, SetState(client, state));
        pair.Device.Resets.Clear();

        using (VfioUserMessage reply = client.Request(VfioUserCommand.DeviceReset))
        {
            Assert.Equal(Errno.None, reply.Error);
            Assert.Empty(reply.Payload);
        }

        Assert.Equal([ResetKind.DeviceReset], pair.Device.Resets);
        Assert.Equal(MigrationState.Running, GetState(client));
        Assert.Equal(0UL, Read64(client, 0));
        StartDma(client, 0x10000, 8, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.True(eventFd.TryConsume(out _));
    }

    [Fact]
    public void Case075_short_features_are_EINVAL()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceFeature, new byte[7]));
        AssertError(Errno.EINVAL, Send(client, DeviceState | Set, 16)); // No data.
        AssertError(Errno.EINVAL, Send(client, DeviceState | Set, 16, 1, 0, 0, 0, 0, 0, 0));
        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 24));
        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 24, new byte[15]));
        AssertError(Errno.EINVAL, Send(client, LogReport | Get, 64));
        AssertError(Errno.EINVAL, Send(client, LogReport | Get, 64, new byte[23]));
        AssertError(Errno.EINVAL, Send(client, Migration | Get, 8));
        AssertError(Errno.EINVAL, Send(client, Migration | Get, 15));
        AssertError(Errno.EINVAL, Send(client, DeviceState | Get, 15));
        AssertError(Errno.EINVAL, Send(client, DeviceState | Set, 8, State(MigrationState.Stop)));
        AssertError(Errno.EINVAL, Send(client, Migration | Get | Probe, 2));
        AssertError(Errno.EINVAL, Send(client, Migration, 16));
        AssertError(Errno.EINVAL, Send(client, DeviceState | Get | Set, 16, State(MigrationState.Stop)));
        AssertError(Errno.EINVAL, Send(client, 0xFFF0 | Get, 16));

        // Ranges that the message does not hold, and more than are taken.
        byte[] control = Bytes(new vfio_user_dma_logging_control { page_size = Page, num_ranges = uint.MaxValue });
        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 24, control));
        control = Bytes(new vfio_user_dma_logging_control { page_size = Page, num_ranges = 2 });
        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 56, Join(control, new byte[31])));
        Assert.Equal(MigrationState.Running, GetState(client));
    }

    [Fact]
    public void Case076_probe()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        (uint Feature, uint Operation)[] supported =
            [(Migration, Get), (DeviceState, Get), (DeviceState, Set), (LogStart, Set), (LogStop, Set), (LogReport, Get), (DeviceState, Get | Set)];
        foreach ((uint feature, uint operation) in supported)
        {
            byte[] request = Feature(feature | operation | Probe, 24, 1, 2, 3);
            using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceFeature, request);
            Assert.Equal(Errno.None, reply.Error);
            Assert.Equal(request, reply.Payload);
        }

        (uint Feature, uint Operation)[] unsupported = [(Migration, Set), (Migration, Get | Set), (LogStart, Get), (LogReport, Set), (0, Get), (3, Set), (9, Get)];
        foreach ((uint feature, uint operation) in unsupported)
        {
            AssertError(Errno.EINVAL, Send(client, feature | operation | Probe, 24));
        }

        using RawVfioUserClient without = Serve(create: static () => new ConformanceDevice { HasMigration = false, HasLog = false }).ConnectRaw();
        foreach ((uint feature, uint operation) in supported)
        {
            AssertError(Errno.EINVAL, Send(without, feature | operation | Probe, 24));
        }
    }

    [Fact]
    public void Case076_migration_flags()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using VfioUserMessage reply = Send(client, Migration | Get, 16);
        Assert.Equal(16u, reply.Read<uint>());
        Assert.Equal(5UL, reply.Read<ulong>(8));
    }

    public static TheoryData<MigrationState, MigrationState> Pairs
    {
        get
        {
            TheoryData<MigrationState, MigrationState> pairs = [];
            foreach (MigrationState from in s_states)
            {
                foreach (MigrationState to in s_states)
                {
                    pairs.Add(from, to);
                }
            }

            return pairs;
        }
    }

    private static readonly MigrationState[] s_states =
        [MigrationState.Stop, MigrationState.Running, MigrationState.StopCopy, MigrationState.Resuming, MigrationState.PreCopy];

    // Spec vfio-user §3.14: the next hop, by current state and target, in the order of the states above; null: no path.
    private static readonly MigrationState?[,] s_hops =
    {
        { MigrationState.Stop, MigrationState.Running, MigrationState.StopCopy, MigrationState.Resuming, MigrationState.Running },
        { MigrationState.Stop, MigrationState.Running, MigrationState.Stop, MigrationState.Stop, MigrationState.PreCopy },
        { MigrationState.Stop, MigrationState.Stop, MigrationState.StopCopy, MigrationState.Stop, null },
        { MigrationState.Stop, MigrationState.Stop, MigrationState.Stop, MigrationState.Resuming, MigrationState.Stop },
        { MigrationState.Running, MigrationState.Running, MigrationState.StopCopy, MigrationState.Running, MigrationState.PreCopy },
    };

    private static List<MigrationState>? Path(MigrationState from, MigrationState to)
    {
        List<MigrationState> path = [];
        while (from != to)
        {
            if (s_hops[Array.IndexOf(s_states, from), Array.IndexOf(s_states, to)] is not { } next)
            {
                return null;
            }

            path.Add(next);
            from = next;
        }

        return path;
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Case077_state_pairs(MigrationState from, MigrationState to)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        TestMigration migration = pair.Device.TestMigration;
        Assert.Equal(Errno.None, SetState(client, from));
        migration.Hops.Clear();
        List<MigrationState>? path = Path(from, to);
        if (path is null)
        {
            Assert.Equal(Errno.EINVAL, SetState(client, to));
            Assert.Equal(from, GetState(client));
            Assert.Empty(migration.Hops);
            return;
        }

        Assert.Equal(Errno.None, SetState(client, to));
        Assert.Equal(path, migration.Hops);
        Assert.Equal(to, GetState(client));

        // Once more with each hop failing: the state before it stays, and the errno is told.
        for (int broken = 0; broken < path.Count; broken++)
        {
            if (path.IndexOf(path[broken]) != broken)
            {
                continue;
            }

            AssertOk(client.Request(VfioUserCommand.DeviceReset));
            migration.Broken = null;
            Assert.Equal(Errno.None, SetState(client, from));
            migration.Broken = path[broken];
            migration.BrokenWith = Errno.EREMOTEIO;
            Assert.Equal(Errno.EREMOTEIO, SetState(client, to));
            Assert.Equal(broken == 0 ? from : path[broken - 1], GetState(client));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(0xABCD)]
    [InlineData(-1)]
    public void Case078_states_that_cannot_be_entered(int state)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        Assert.Equal(Errno.EINVAL, SetState(client, (MigrationState)state));
        Assert.Equal(MigrationState.Running, GetState(client));
        Assert.Equal(Errno.None, SetState(client, MigrationState.StopCopy));
        Assert.Equal(Errno.EINVAL, SetState(client, MigrationState.PreCopy));
        Assert.Equal(MigrationState.StopCopy, GetState(client));
    }

    [Theory]
    [InlineData(MigrationState.Stop)]
    [InlineData(MigrationState.StopCopy)]
    public void Case079_a_stopped_device_answers(MigrationState state)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using EventFd eventFd = new();
        Assert.Equal(Errno.None, client.MapDma(0, Page));
        Assert.Equal(Errno.None, SetState(client, state));
        AssertAlive(client);
        Assert.Equal(Errno.None, client.UnmapDma(0, Page));
        Assert.Equal(Errno.None, client.SetIrqs(2, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, default, eventFd.Descriptor));
        AssertOk(client.Request(VfioUserCommand.DeviceGetRegionInfo, new vfio_region_info { argsz = 32, index = 0 }));
        Assert.Equal(0x56781234u, Read32(client, 0, 7));
    }

    [Fact]
    public void Case080_disconnect_in_stop_copy()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            Assert.Equal(Errno.None, SetState(client, MigrationState.StopCopy));
        }

        WaitFor(() => !pair.Server!.HasClient);
        using RawVfioUserClient next = pair.ConnectRaw();
        Assert.Equal(MigrationState.Running, GetState(next));
        AssertAlive(next);
    }

    [Fact]
    public void Case081_migration_data()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] state = new byte[1000];
        new Random(81).NextBytes(state);
        pair.Device.TestMigration.State = state;
        AssertError(Errno.EINVAL, Read(client, 16)); // Running.
        Assert.Equal(Errno.None, SetState(client, MigrationState.StopCopy));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataRead, new byte[7]));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataRead, new vfio_user_mig_data { argsz = 23, size = 16 }));
        List<byte> stream = [];
        while (true)
        {
            using VfioUserMessage reply = Read(client, 300);
            Assert.Equal(308, reply.Payload.Length);
            uint size = reply.Read<vfio_user_mig_data>().size;
            stream.AddRange(reply.Payload.AsSpan(8, (int)size));
            Assert.All(reply.Payload[(8 + (int)size)..], static value => Assert.Equal(0, value));
            if (size < 300)
            {
                break;
            }
        }

        Assert.Equal(state, stream);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 9, size = 1 }), [1])));

        Assert.Equal(Errno.None, SetState(client, MigrationState.Resuming));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 12, size = 4 }), [1, 2, 3])));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 11, size = 4 }), [1, 2, 3, 4])));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.MigrationDataWrite, Bytes(new vfio_user_mig_data { argsz = uint.MaxValue, size = uint.MaxValue - 8 })));
        AssertError(Errno.EINVAL, Read(client, 16));
        using (VfioUserMessage reply = client.Request(
            VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 1008, size = 1000 }), state)))
        {
            Assert.Equal(Errno.None, reply.Error);
            Assert.Empty(reply.Payload);
        }

        Assert.Equal(state, pair.Device.TestMigration.Received);
        Assert.Equal(Errno.None, SetState(client, MigrationState.Running));
    }

    [Theory]
    [InlineData("""{"capabilities":{"max_data_xfer_size":4}}""", 4u)]
    [InlineData("""{"capabilities":{"max_data_xfer_size":4294967295}}""", 1u << 20)]
    public void Case081_migration_data_is_bounded_by_both_sides(string json, uint limit)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw(json);
        pair.Device.TestMigration.State = new byte[8];
        Assert.Equal(Errno.None, SetState(client, MigrationState.StopCopy));
        long before = GC.GetTotalAllocatedBytes(precise: true);
        AssertError(Errno.EINVAL, Read(client, limit + 1));
        AssertError(Errno.EINVAL, Read(client, uint.MaxValue - 8));
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 1 << 19);
        using VfioUserMessage reply = Read(client, limit);
        Assert.Equal(8 + (int)limit, reply.Payload.Length);
        Assert.Equal(Math.Min(limit, 8), reply.Read<vfio_user_mig_data>().size);
    }

    [Fact]
    public void Case081_a_session_that_has_ended_is_not_read()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        pair.Device.TestMigration.State = new byte[8];
        Assert.Equal(Errno.None, SetState(client, MigrationState.StopCopy));
        Assert.Equal(Errno.None, SetState(client, MigrationState.Running));
        AssertError(Errno.EINVAL, Read(client, 8));
    }

    [Fact]
    public void Case082_logging_start()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        byte[] Control(ulong pageSize) => Bytes(new vfio_user_dma_logging_control { page_size = pageSize });
        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 24, Control(0)));
        byte[] request = Feature(LogStart | Set, 24, Control(Page));
        for (int i = 0; i < 2; i++)
        {
            using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceFeature, request);
            Assert.Equal(Errno.None, reply.Error);
            Assert.Equal(request, reply.Payload);
        }

        AssertError(Errno.EINVAL, Send(client, LogStart | Set, 24, Control(2 * Page)));
        AssertOk(Send(client, LogStop | Set, 8));
        AssertOk(Send(client, LogStart | Set, 24, Control(2 * Page)));
        AssertOk(Send(client, LogStop | Set, 24, new byte[16])); // libvfio-user's client sends a structure along.

        using RawVfioUserClient plain = Own(DevicePair.Serve(static () => new PlainDevice())).ConnectRaw();
        AssertError(Errno.EINVAL, Send(plain, LogStart | Set, 24, Control(Page)));
        AssertAlive(plain);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.5)]
    [InlineData(2.0)]
    [InlineData(16.0)]
    [InlineData(256.0)]
    [InlineData(4096.0)]
    [InlineData(1.0 / 4096)]
    public void Case083_report_in_other_page_sizes(double ratio)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        const ulong Size = 64 << 20;
        AssertOk(Send(client, LogStart | Set, 24, Bytes(new vfio_user_dma_logging_control { page_size = Page })));
        pair.Device.TestDirtyLog.Mark(0, 1);
        pair.Device.TestDirtyLog.Mark((5 * Page) + 100, Page); // Pages 5 and 6.
        pair.Device.TestDirtyLog.Mark(Size - 1, 1);
        ulong unit = (ulong)(Page * ratio);

        // Where a bit a byte would pass the message limit, only the first part is asked for.
        ulong length = unit == 1 ? 1 << 20 : Size;
        HashSet<ulong> expected = [];
        foreach (ulong page in new ulong[] { 0, 5, 6, (Size / Page) - 1 })
        {
            for (ulong at = page * Page; at < Math.Min((page + 1) * Page, length); at += Math.Min(unit, Page))
            {
                expected.Add(at / unit);
            }
        }

        long started = Stopwatch.GetTimestamp();
        Assert.Equal(expected.Order(), Report(client, 0, length, unit));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 60);
        Assert.Empty(Report(client, 0, length, unit));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(3UL)]
    [InlineData(4097UL)]
    public void Case083_report_with_bad_page_size(ulong unit)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, ReportRequest(client, 0, Page, Page, 40)); // Not logging.
        AssertOk(Send(client, LogStart | Set, 24, Bytes(new vfio_user_dma_logging_control { page_size = Page })));
        AssertError(Errno.EINVAL, ReportRequest(client, 0, 16 * Page, unit, 1000));
        AssertError(Errno.EINVAL, ReportRequest(client, 0, 0, Page, 1000));
        AssertError(Errno.EINVAL, ReportRequest(client, ulong.MaxValue, Page, Page, 1000));
        AssertError(Errno.EINVAL, ReportRequest(client, 0, 1UL << 63, 1, uint.MaxValue));
        AssertError(Errno.EINVAL, ReportRequest(client, 0, 64 * Page, Page, 39));
        AssertAlive(client);
    }

    [Fact]
    public void Case084_report_on_parts_and_across_mappings()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0x100000, 8 * Page, memory.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(0x108000, 8 * Page, memory.Descriptor));
        AssertOk(Send(client, LogStart | Set, 40, Join(
            Bytes(new vfio_user_dma_logging_control { page_size = Page, num_ranges = 1 }), BitConverter.GetBytes(0x100000UL), BitConverter.GetBytes(16 * Page))));
        Assert.Equal(0x100000UL, pair.Device.TestDirtyLog.Ranges.Single().Start);
        StartDma(client, 0x107FFC, 8, ControlBlock.WriteInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal([1UL], Report(client, 0x106000, 2 * Page, Page));
        StartDma(client, 0x107FFC, 8, ControlBlock.WriteInHandler);
        Assert.Equal([7UL, 8UL], Report(client, 0x100000, 16 * Page, Page));
        Assert.Empty(Report(client, 0x100000, 16 * Page, Page));
    }

    private static VfioUserMessage Read(RawVfioUserClient client, uint size)
        => client.Request(VfioUserCommand.MigrationDataRead, new vfio_user_mig_data { argsz = 8 + size, size = size });

    private static VfioUserMessage ReportRequest(RawVfioUserClient client, ulong iova, ulong length, ulong unit, uint argsz)
        => Send(client, LogReport | Get, argsz, Bytes(new vfio_user_dma_logging_report { iova = iova, length = length, page_size = unit }));

    private static List<ulong> Report(RawVfioUserClient client, ulong iova, ulong length, ulong unit)
    {
        ulong bits = (length + unit - 1) / unit;
        uint argsz = 32 + (uint)((bits + 63) / 64 * 8);
        using VfioUserMessage reply = ReportRequest(client, iova, length, unit, argsz);
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal((int)argsz, reply.Payload.Length);
        Assert.Equal(argsz, reply.Read<uint>());
        List<ulong> dirty = [];
        ReadOnlySpan<byte> bitmap = reply.Payload.AsSpan(32);
        for (ulong i = 0; i < (ulong)bitmap.Length * 8; i++)
        {
            if ((bitmap[(int)(i / 8)] & (1 << (int)(i % 8))) != 0)
            {
                dirty.Add(i);
            }
        }

        return dirty;
    }
}
