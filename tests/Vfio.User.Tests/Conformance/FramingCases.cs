using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 15 to 27: messages on the stream.</summary>
public sealed class FramingCases : ConformanceTest
{
    private const int Limit = 1 << 20;

    [Fact]
    public void Case015_one_byte_at_a_time()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        byte[][] messages =
        [
            VfioUserPeer.Compose(1, VfioUserCommand.Version, 0, RawVfioUserClient.VersionPayload(0, 2, "{}")),
            VfioUserPeer.Compose(2, VfioUserCommand.DeviceGetInfo, 0, Bytes(new vfio_user_device_info { argsz = 16 })),
            VfioUserPeer.Compose(3, VfioUserCommand.RegionWrite, 0, RawVfioUserClient.AccessPayload(0, 8, [1, 2, 3, 4])),
            VfioUserPeer.Compose(4, VfioUserCommand.RegionRead, 0, Bytes(new vfio_user_region_access { offset = 8, count = 4 })),
            VfioUserPeer.Compose(5, VfioUserCommand.DeviceReset, 0, default),
        ];
        foreach (byte value in Join(messages))
        {
            Assert.Equal(Errno.None, client.SendBytes([value]));
        }

        AssertOk(client.ReceiveReply(1, VfioUserCommand.Version));
        AssertOk(client.ReceiveReply(2, VfioUserCommand.DeviceGetInfo));
        AssertOk(client.ReceiveReply(3, VfioUserCommand.RegionWrite));
        using VfioUserMessage read = client.ReceiveReply(4, VfioUserCommand.RegionRead);
        Assert.Equal([1, 2, 3, 4], read.Payload[16..]);
        AssertOk(client.ReceiveReply(5, VfioUserCommand.DeviceReset));
    }

    [Fact]
    public void Case016_hundred_messages_in_one_write()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        byte[][] messages = new byte[100][];
        Span<byte> value = stackalloc byte[8];
        for (int i = 0; i < messages.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(value, i);
            messages[i] = i % 2 == 0
                ? VfioUserPeer.Compose((ushort)(1000 + i), VfioUserCommand.RegionWrite, 0, RawVfioUserClient.AccessPayload(0, 0, value))
                : VfioUserPeer.Compose((ushort)(1000 + i), VfioUserCommand.RegionRead, 0, Bytes(new vfio_user_region_access { offset = 0, count = 8 }));
        }

        Assert.Equal(Errno.None, client.SendBytes(Join(messages)));
        for (int i = 0; i < messages.Length; i++)
        {
            using VfioUserMessage reply = client.ReceiveReply((ushort)(1000 + i), i % 2 == 0 ? VfioUserCommand.RegionWrite : VfioUserCommand.RegionRead);
            Assert.Equal(Errno.None, reply.Error);
            if (i % 2 != 0)
            {
                Assert.Equal(i - 1, BinaryPrimitives.ReadInt64LittleEndian(reply.Payload.AsSpan(16)));
            }
        }
    }

    [Fact]
    public void Case017_one_mebibyte_in_one_write()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] data = new byte[Limit];
        new Random(17).NextBytes(data);
        Assert.Equal(Errno.None, client.WriteRegion(1, 0x1000, data));
        Assert.Equal(data, pair.Device.Ram.Bytes[0x1000..(0x1000 + Limit)]);
        Assert.Equal(data, client.ReadRegion(1, 0x1000, Limit));
    }

    [Fact]
    public void Case018_size_15_is_refused_with_its_id()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(77, VfioUserCommand.DeviceGetInfo, 0, default, size: 15)));
        AssertError(Errno.EINVAL, client.ReceiveReply(77, VfioUserCommand.DeviceGetInfo));
        Assert.True(client.WaitForEnd());
    }

    [Theory]
    [InlineData(16 + 16 + Limit + 1)]
    [InlineData(0x80000000)]
    [InlineData(0xFFFFFFFF)]
    public void Case019_oversized_message_is_refused_and_ends_the_connection(uint size)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(78, VfioUserCommand.RegionWrite, 0, default, size: size)));
        AssertError(Errno.EINVAL, client.ReceiveReply(78, VfioUserCommand.RegionWrite));
        Assert.True(client.WaitForEnd());
    }

    [Fact]
    public void Case020_unsolicited_reply_executes_nothing()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        ushort id = client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.Reply, RawVfioUserClient.AccessPayload(0, 0, [1]));
        AssertError(Errno.EINVAL, client.ReceiveReply(id, VfioUserCommand.RegionWrite));
        id = client.Send(VfioUserCommand.DmaRead, VfioUserFlags.Reply, new byte[32]);
        AssertError(Errno.EINVAL, client.ReceiveReply(id, VfioUserCommand.DmaRead));
        Assert.Empty(pair.Device.Log);
        AssertAlive(client);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(14)]
    [InlineData(19)]
    [InlineData(65535)]
    public void Case021_unknown_command_is_refused_and_the_next_works(int command)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request((VfioUserCommand)command, new byte[100]));
        AssertAlive(client);
    }

    [Theory]
    [InlineData(VfioUserCommand.DeviceSetIrqs)]
    [InlineData(VfioUserCommand.DmaMap)]
    [InlineData(VfioUserCommand.DmaUnmap)]
    [InlineData(VfioUserCommand.DeviceGetInfo)]
    [InlineData(VfioUserCommand.DeviceGetRegionInfo)]
    [InlineData(VfioUserCommand.DeviceGetRegionIoFds)]
    [InlineData(VfioUserCommand.DeviceGetIrqInfo)]
    [InlineData(VfioUserCommand.RegionRead)]
    [InlineData(VfioUserCommand.RegionWrite)]
    [InlineData(VfioUserCommand.RegionWriteMulti)]
    [InlineData(VfioUserCommand.DeviceFeature)]
    [InlineData(VfioUserCommand.MigrationDataRead)]
    [InlineData(VfioUserCommand.MigrationDataWrite)]
    public void Case022_missing_or_short_body_is_EINVAL(VfioUserCommand command)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(command));
        AssertError(Errno.EINVAL, client.Request(command, new byte[7]));
        AssertAlive(client);
    }

    [Fact]
    public void Case023_posted_writes_have_no_reply_even_when_they_fail()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(99, 0, [9]));
        client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(0, 3, [5]));
        client.Send((VfioUserCommand)99, VfioUserFlags.NoReply, default);
        Assert.Equal([5], client.ReadRegion(0, 3, 1));
        Assert.False(client.HasInput(TimeSpan.FromMilliseconds(20)));
    }

    [Fact]
    public void Case024_253_descriptors_on_a_message_that_takes_none()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertAlive(client);
        using EventFd eventFd = new();
        FileDescriptor[] many = new FileDescriptor[DescriptorList.Capacity];
        Array.Fill(many, eventFd.Descriptor);
        ProcessResources before = ProcessResources.Capture();
        AssertOk(client.Request(VfioUserCommand.DeviceGetInfo, Bytes(new vfio_user_device_info { argsz = 16 }), many));
        AssertAlive(client);
        AssertNothingLeft(before);
    }

    [Fact]
    public void Case025_fragment_with_descriptors_then_close()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using EventFd eventFd = new();
        FileDescriptor[] many = new FileDescriptor[200];
        Array.Fill(many, eventFd.Descriptor);
        using (RawVfioUserClient first = pair.ConnectRaw())
        {
            AssertAlive(first);
        }

        WaitFor(() => !pair.Server!.HasClient);
        int before = CountDescriptors();
        for (int i = 0; i < 50; i++)
        {
            using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
            _ = client.SendBytes([1], many);
        }

        WaitFor(() => !pair.Server!.HasClient && CountDescriptors() <= before);
        using RawVfioUserClient last = pair.ConnectRaw();
        AssertAlive(last);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Timeout.Infinite)]
    public void Case026_header_then_silence_is_dropped_at_the_deadline(int busyPoll)
    {
        DevicePair<ConformanceDevice> slow = Serve(Impatient with { BusyPoll = TimeSpan.FromMilliseconds(busyPoll) });
        DevicePair<ConformanceDevice> other = Serve();
        using RawVfioUserClient client = slow.ConnectRaw();
        using RawVfioUserClient busy = other.ConnectRaw();
        Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(5, VfioUserCommand.RegionWrite, 0, default, size: 100)));
        AssertAlive(busy);
        Assert.True(client.WaitForEnd());
        AssertAlive(busy);
        WaitFor(() => !slow.Server!.HasClient);
        Assert.Equal(ConnectionEnd.TimedOut, slow.Server!.LastEnd);
    }

    [Fact]
    public void Case026_idle_client_is_not_dropped()
    {
        using RawVfioUserClient client = Serve(Impatient).ConnectRaw();
        Thread.Sleep(2 * Short);
        AssertAlive(client);
    }

    [Fact]
    public void Case027_client_that_never_reads_is_dropped()
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        using RawVfioUserClient client = pair.ConnectRaw();
        long before = GC.GetTotalMemory(forceFullCollection: true);
        byte[] read = VfioUserPeer.Compose(1, VfioUserCommand.RegionRead, 0, Bytes(new vfio_user_region_access { region = 1, count = 4096 }));
        byte[] batch = Join([.. Enumerable.Repeat(read, 1000)]);
        Errno error = Errno.None;
        for (int i = 0; i < 1000 && error == Errno.None; i++)
        {
            error = client.SendBytes(batch);
        }

        Assert.NotEqual(Errno.None, error);
        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.SendFailed, pair.Server!.LastEnd);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 8 << 20);
    }
}
