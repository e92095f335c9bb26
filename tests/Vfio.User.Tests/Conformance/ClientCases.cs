using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 91 to 98: the client against servers that are odd, slow or hostile.</summary>
public sealed class ClientCases : ConformanceTest
{
    private static readonly VfioUserClientOptions s_impatient = new() { ReplyTimeout = Short, NegotiationTimeout = Short };

    private VfioUserConnection Open(Func<VfioUserPeer, VfioUserMessage, bool> handler, VfioUserClientOptions? options = null)
        => Own(VfioUserConnection.Connect(Own(ScriptedVfioUserServer.StartDevice(handler)).SocketPath, options));

    private VfioException Refuse(Action<VfioUserPeer> script)
    {
        ScriptedVfioUserServer server = Own(ScriptedVfioUserServer.Start(script));
        return Assert.Throws<VfioException>(() => VfioUserConnection.Connect(server.SocketPath, s_impatient));
    }

    private VfioException RefuseVersion(byte[] payload, params FileDescriptor[] descriptors) => Refuse(peer =>
    {
        using VfioUserMessage version = peer.Expect(VfioUserCommand.Version);
        peer.Reply(version, payload, descriptors);
        peer.WaitForEnd();
    });

    [Fact]
    public void Case091_minor_above_ours()
    {
        VfioException exception = RefuseVersion(RawVfioUserClient.VersionPayload(0, 3, "{\"capabilities\":{}}"));
        Assert.Equal(Errno.EPROTO, exception.Errno);
        Assert.Contains("0.3", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Case091_other_major() => Assert.Equal(Errno.EPROTO, RefuseVersion(RawVfioUserClient.VersionPayload(1, 0, "{}")).Errno);

    [Fact]
    public void Case091_oversized_json()
        => Assert.Equal(Errno.EPROTO, RefuseVersion(RawVfioUserClient.VersionPayload(0, 0, "{\"a\":\"" + new string('x', 5000) + "\"}")).Errno);

    [Theory]
    [InlineData("nonsense")]
    [InlineData("""{"capabilities":{"max_msg_fds":-1}}""")]
    [InlineData("""{"capabilities":{"max_data_xfer_size":0}}""")]
    [InlineData("""{"capabilities":{"max_data_xfer_size":1""")]
    public void Case091_broken_json(string json) => Assert.Equal(Errno.EPROTO, RefuseVersion(RawVfioUserClient.VersionPayload(0, 0, json)).Errno);

    [Fact]
    public void Case091_short_version() => Assert.Equal(Errno.EPROTO, RefuseVersion([0, 0]).Errno);

    [Fact]
    public void Case091_error_reply()
    {
        VfioException exception = Refuse(static peer =>
        {
            using VfioUserMessage version = peer.Expect(VfioUserCommand.Version);
            peer.ReplyError(version, Errno.EINVAL);
        });
        Assert.Equal(Errno.EINVAL, exception.Errno);
        Assert.Contains("refused", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Case091_hang_up_and_silence()
    {
        Assert.Equal(Errno.ENOTCONN, Refuse(static _ => { }).Errno);
        Assert.Equal(Errno.ETIMEDOUT, Refuse(static peer => peer.WaitForEnd()).Errno);
    }

    [Fact]
    public void Case091_no_message_at_all()
    {
        VfioException exception = Refuse(static peer =>
        {
            peer.SendBytes(Encoding.ASCII.GetBytes("220 mail.example.com ESMTP ready and waiting\r\n"));
            peer.WaitForEnd();
        });
        Assert.Equal(Errno.EPROTO, exception.Errno);
    }

    [Theory]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true}}}""", 0)]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true,"fd_index":1}}}""", 1)]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}""", 0)]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}""", 1)]
    public void Case091_twin_socket_that_is_none(string json, int descriptors)
    {
        using EventFd eventFd = new();
        Assert.Equal(Errno.EPROTO, RefuseVersion(RawVfioUserClient.VersionPayload(0, 2, json), [.. Enumerable.Repeat(eventFd.Descriptor, descriptors)]).Errno);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("{}")]
    [InlineData("""{"capabilities":{}}""")]
    public void Case091_sparse_capabilities_mean_the_defaults(string? json)
    {
        ScriptedVfioUserServer server = Own(ScriptedVfioUserServer.Start(peer =>
        {
            ScriptedVfioUserServer.AcceptVersion(peer, json);
            while (peer.Receive() is { } message)
            {
                using (message)
                {
                    ScriptedVfioUserServer.AnswerAsDevice(peer, message);
                }
            }
        }));
        using VfioUserConnection connection = VfioUserConnection.Connect(server.SocketPath);
        Assert.Equal(1, connection.ServerCapabilities.MaxMessageFds);
        Assert.Equal(1u << 20, connection.ServerCapabilities.MaxDataTransferSize);
        Assert.False(connection.HasTwinSocket);
    }

    [Fact]
    public void Case091_nobody_there()
    {
        VfioException exception = Assert.Throws<VfioException>(() => VfioUserConnection.Connect("/tmp/vfio-nobody-there"));
        Assert.Equal(Errno.ENOENT, exception.Errno);
        Assert.NotNull(exception.Hint);
    }

    [Fact]
    public async Task Case091_cancelled()
    {
        ScriptedVfioUserServer server = Own(ScriptedVfioUserServer.Start(static peer => peer.WaitForEnd()));
        using CancellationTokenSource cancel = new(50);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => VfioUserConnection.ConnectAsync(server.SocketPath, null, cancel.Token));
    }

    [Fact]
    public void Case092_replies_that_nobody_waits_for_are_ignored()
    {
        using EventFd stray = new();
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command == VfioUserCommand.RegionRead)
            {
                byte[] junk = new byte[1000];
                Array.Fill(junk, (byte)0xEE);
                Assert.Equal(Errno.None, peer.SendBytes(VfioUserPeer.Compose((ushort)(message.Id + 7), message.Command, VfioUserFlags.Reply, junk), stray.Descriptor));
                Assert.Equal(Errno.None, peer.SendBytes(VfioUserPeer.Compose(message.Id, VfioUserCommand.RegionWrite, VfioUserFlags.Reply, junk)));
                Assert.Equal(Errno.None, peer.SendBytes(VfioUserPeer.Compose(message.Id, message.Command, (VfioUserFlags)5, junk)));
            }

            return false;
        });
        ProcessResources before = ProcessResources.Capture();
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(0u, connection.Bar(0).Read32(0));
        }

        AssertNothingLeft(before);
    }

    [Fact]
    public void Case093_reply_in_pieces_with_descriptors()
    {
        using MemFd memory = Memory(0x4000);
        Assert.Equal(Errno.None, memory.TryAddSeals(FileSeals.Shrink));
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.DeviceGetRegionInfo || message.Read<vfio_region_info>().index != 0)
            {
                return false;
            }

            byte[] reply = VfioUserPeer.Compose(
                message.Id, message.Command, VfioUserFlags.Reply, Bytes(ScriptedVfioUserServer.DescribeRegion(0) with { flags = 7 }));
            Assert.Equal(Errno.None, peer.SendBytes(reply.AsSpan(0, 5), memory.Descriptor));
            for (int i = 5; i < reply.Length; i++)
            {
                Thread.Yield();
                Assert.Equal(Errno.None, peer.SendBytes(reply.AsSpan(i, 1)));
            }

            return true;
        });
        using MemoryMapping mapping = connection.Map(PciRegion.Bar0, 0, 0x1000);
        mapping.Span[0] = 0x93;
        byte[] check = new byte[1];
        Assert.Equal(1, memory.Descriptor.ReadAt(check, 0).Value);
        Assert.Equal(0x93, check[0]);
    }

    [Fact]
    public void Case094_errors_of_each_command_leave_the_connection_usable()
    {
        bool refuse = false;
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (!Volatile.Read(ref refuse))
            {
                return false;
            }

            peer.ReplyError(message, Errno.EREMOTEIO);
            return true;
        });
        Volatile.Write(ref refuse, true);
        ulong pageSize = 4096;
        using EventFd eventFd = new();
        Assert.True(IovaRange.TryCreate(0, 4096, out IovaRange range));
        Assert.Equal(Errno.EREMOTEIO, connection.TryRead(0, 0, new byte[4]));
        Assert.Equal(Errno.EREMOTEIO, connection.TryWrite(0, 0, new byte[4]));
        Assert.Equal(Errno.EREMOTEIO, connection.TryReset());
        Assert.Equal(Errno.EREMOTEIO, connection.TrySetIrqs(PciInterrupt.Msix, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, 0, 1).Error);
        Assert.Equal(Errno.EREMOTEIO, connection.TrySetIrqs(PciInterrupt.Msix, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, [eventFd.Descriptor]).Error);
        Assert.Equal(Errno.EREMOTEIO, connection.TryGetMigrationFlags(out _));
        Assert.Equal(Errno.EREMOTEIO, connection.TryGetMigrationState(out _));
        Assert.Equal(Errno.EREMOTEIO, connection.TrySetMigrationState(MigrationState.Stop));
        Assert.Equal(Errno.EREMOTEIO, connection.TryReadMigrationData(new byte[10]).Error);
        Assert.Equal(Errno.EREMOTEIO, connection.TryWriteMigrationData(new byte[10]).Error);
        Assert.Equal(Errno.EREMOTEIO, connection.TryStartDirtyLog([range], ref pageSize));
        Assert.Equal(Errno.EREMOTEIO, connection.TryStopDirtyLog());
        Assert.Equal(Errno.EREMOTEIO, connection.TryReadDirtyLog(range, 4096, new ulong[1]));
        Assert.Equal(Errno.EREMOTEIO, connection.TryGetDoorbells(PciRegion.Bar0, out _));
        Assert.Equal(Errno.EREMOTEIO, Assert.Throws<VfioException>(() => connection.AllocateDma(4096)).Errno);
        Assert.Equal(Errno.EREMOTEIO, Assert.Throws<VfioException>(() => connection.Bar(0).Read32(0)).Errno);
        Volatile.Write(ref refuse, false);
        Assert.Equal(0u, connection.Bar(0).Read32(0));
        connection.AllocateDma(4096).Dispose();
        Assert.True(connection.IsConnected);
    }

    public static TheoryData<string> Lies => ["cap loop", "cap_offset 4", "cap_offset outside", "areas 2^31", "areas 65", "area outside", "argsz 2^31", "argsz grows", "short", "too long", "two descriptors"];

    [Theory]
    [MemberData(nameof(Lies))]
    public void Case095_lies_about_a_region_are_not_believed(string lie)
    {
        using MemFd memory = Memory();
        VfioException exception = Assert.Throws<VfioException>(() => Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.DeviceGetRegionInfo || message.Read<vfio_region_info>().index != 0)
            {
                return false;
            }

            uint argsz = message.Read<vfio_region_info>().argsz;
            byte[] reply = new byte[32 + 16 + (65 * 16)];
            vfio_region_info info = new() { argsz = (uint)reply.Length, flags = 15, size = 0x10000, cap_offset = 32 };
            Span<byte> capability = reply.AsSpan(32);
            BinaryPrimitives.WriteUInt16LittleEndian(capability, 1);
            BinaryPrimitives.WriteUInt16LittleEndian(capability[2..], 1);
            BinaryPrimitives.WriteUInt32LittleEndian(capability[8..], 1);
            BinaryPrimitives.WriteUInt64LittleEndian(capability[24..], 0x1000);
            FileDescriptor[] descriptors = [memory.Descriptor];
            switch (lie)
            {
                case "cap loop":
                    BinaryPrimitives.WriteUInt32LittleEndian(capability[4..], 32);
                    break;
                case "cap_offset 4":
                    info.cap_offset = 4;
                    break;
                case "cap_offset outside":
                    info.cap_offset = (uint)reply.Length - 4;
                    break;
                case "areas 2^31":
                    BinaryPrimitives.WriteUInt32LittleEndian(capability[8..], 0x80000000);
                    break;
                case "areas 65":
                    BinaryPrimitives.WriteUInt32LittleEndian(capability[8..], 65);
                    break;
                case "area outside":
                    BinaryPrimitives.WriteUInt64LittleEndian(capability[16..], ulong.MaxValue - 0xFFF);
                    BinaryPrimitives.WriteUInt64LittleEndian(capability[24..], 0x2000);
                    break;
                case "argsz 2^31":
                    info.argsz = 0x80000000;
                    break;
                case "argsz grows":
                    info.argsz = argsz + 16;
                    break;
                case "short":
                    peer.Reply(message, new byte[31]);
                    return true;
                case "too long":
                    info.argsz = 48;
                    reply = new byte[100_000];
                    break;
                case "two descriptors":
                    descriptors = [memory.Descriptor, memory.Descriptor];
                    break;
            }

            MemoryMarshal.Write(reply, in info);
            bool full = argsz > 32;
            peer.Reply(message, full ? reply.AsSpan() : reply.AsSpan(0, 32), full ? descriptors : []);
            return true;
        }));
        Assert.Equal(Errno.EPROTO, exception.Errno);
    }

    [Theory]
    [InlineData(101u, 5u)]
    [InlineData(uint.MaxValue, 5u)]
    [InlineData(9u, 51u)]
    [InlineData(9u, uint.MaxValue)]
    public void Case095_too_many_regions_or_interrupts(uint regions, uint irqs)
    {
        VfioException exception = Assert.Throws<VfioException>(() => Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.DeviceGetInfo)
            {
                return false;
            }

            peer.Reply(message, new vfio_user_device_info { argsz = 16, flags = 3, num_regions = regions, num_irqs = irqs });
            return true;
        }));
        Assert.Equal(Errno.EPROTO, exception.Errno);
    }

    [Theory]
    [InlineData("plain memfd", true)]
    [InlineData("sealed memfd", true)]
    [InlineData("memfd without seals", false)]
    [InlineData("file", false)]
    [InlineData("eventfd", false)]
    [InlineData("too short", false)]
    [InlineData("offset wraps", false)]
    [InlineData("none", false)]
    public void Case095_region_memory_is_mapped_only_when_it_is_safe(string kind, bool mappable)
    {
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[0x4000]);
        using MemFd memory = new("region", kind == "too short" ? 0x800u : 0x4000, sealable: kind != "memfd without seals");
        using EventFd eventFd = new();
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadWrite, out FileDescriptor? file));
        using (file)
        {
            File.Delete(path);
            if (kind == "sealed memfd")
            {
                Assert.Equal(Errno.None, memory.TryAddSeals(FileSeals.Shrink | FileSeals.Seal));
            }

            FileDescriptor[] descriptors = kind switch { "file" => [file!], "eventfd" => [eventFd.Descriptor], "none" => [], _ => [memory.Descriptor] };
            VfioUserConnection connection = Open((peer, message) =>
            {
                if (message.Command != VfioUserCommand.DeviceGetRegionInfo || message.Read<vfio_region_info>().index != 0)
                {
                    return false;
                }

                ulong offset = kind == "offset wraps" ? ulong.MaxValue - 0xFFF : 0;
                ulong size = kind == "too short" ? 0x2000u : 0x1000;
                peer.Reply(message, ScriptedVfioUserServer.DescribeRegion(0) with { flags = 7, offset = offset, size = size }, descriptors);
                return true;
            });
            Assert.Equal(mappable, connection.Regions[0].MappableAreas.Count == 1);
            if (mappable)
            {
                connection.Map(PciRegion.Bar0, 0, 0x1000).Dispose();
                Assert.Equal(Errno.EPERM, memory.Descriptor.TrySetLength(0));
            }
            else
            {
                Assert.Throws<VfioException>(() => connection.Map(PciRegion.Bar0, 0, 0x1000));
                Assert.Equal(0u, connection.Bar(0).Read32(0));
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case096_server_reaches_only_what_is_mapped(bool inBand)
    {
        using ManualResetEventSlim served = new(false);
        using UnixSocketPair pair = new();
        ulong[] addresses = new ulong[3];
        List<string> results = [];
        void Ask(VfioUserPeer peer)
        {
            void One(string name, VfioUserCommand command, ulong address, ulong count, int body)
            {
                ushort id = peer.Send(command, Join(Bytes(new vfio_user_dma_access { address = address, count = count }), new byte[body]));
                using VfioUserMessage reply = peer.ReceiveMessage();
                Assert.True(reply.IsReply);
                Assert.Equal((id, command), (reply.Id, reply.Command));
                results.Add($"{name}: {reply.Error.GetName()} {reply.Payload.Length}");
            }

            One("read", VfioUserCommand.DmaRead, addresses[0] + 8, 16, 0);
            One("write", VfioUserCommand.DmaWrite, addresses[0] + 8, 16, 16);
            One("nothing", VfioUserCommand.DmaRead, addresses[0], 0, 0);
            One("unmapped", VfioUserCommand.DmaRead, 0xDEAD0000, 16, 0);
            One("over the end", VfioUserCommand.DmaRead, addresses[0] + 0x200000 - 8, 16, 0);
            One("wraps", VfioUserCommand.DmaRead, ulong.MaxValue - 3, 16, 0);
            One("over the limit", VfioUserCommand.DmaRead, addresses[0], (1 << 20) + 1, 0);
            One("count 2^64-1", VfioUserCommand.DmaRead, addresses[0], ulong.MaxValue, 0);
            One("read-only", VfioUserCommand.DmaWrite, addresses[1], 16, 16);
            One("write-only", VfioUserCommand.DmaRead, addresses[2], 16, 0);
            One("short body", VfioUserCommand.DmaWrite, addresses[0], 16, 15);
            One("body on a read", VfioUserCommand.DmaRead, addresses[0], 16, 1);
            One("unknown", (VfioUserCommand)99, 0, 0, 0);
        }

        VfioUserConnection connection;
        if (inBand)
        {
            connection = Open((peer, message) =>
            {
                if (message.Command != VfioUserCommand.DeviceReset)
                {
                    return false;
                }

                // While nobody waits: the client has its reply.
                peer.Reply(message);
                Ask(peer);
                served.Set();
                return true;
            });
        }
        else
        {
            ScriptedVfioUserServer server = Own(ScriptedVfioUserServer.Start(peer =>
            {
                using (VfioUserMessage version = peer.Expect(VfioUserCommand.Version))
                {
                    peer.Reply(
                        version,
                        RawVfioUserClient.VersionPayload(0, 2, """{"capabilities":{"max_msg_fds":1,"twin_socket":{"supported":true,"fd_index":0}}}"""),
                        pair.Second.Descriptor);
                }

                using VfioUserPeer twin = new(pair.TakeFirst());
                while (peer.Receive() is { } message)
                {
                    using (message)
                    {
                        ScriptedVfioUserServer.AnswerAsDevice(peer, message);
                        if (message.Command == VfioUserCommand.DeviceReset)
                        {
                            Ask(twin);
                            served.Set();
                        }
                    }
                }
            }));
            connection = Own(VfioUserConnection.Connect(server.SocketPath));
            Assert.True(connection.HasTwinSocket);
        }

        using DmaBuffer both = connection.AllocateDma(0x200000);
        using DmaBuffer readable = connection.AllocateDma(4096, DmaAccess.Read);
        using DmaBuffer writable = connection.AllocateDma(4096, DmaAccess.Write, iova: 0x1000_0000);
        addresses = [both.Iova, readable.Iova, writable.Iova];
        connection.Reset();
        Assert.True(served.Wait(Patience));
        Assert.Equal(
            [
                "read: None 32", "write: None 16", "nothing: None 16", "unmapped: EFAULT 0", "over the end: EFAULT 0", "wraps: EFAULT 0", "over the limit: E2BIG 0",
                "count 2^64-1: E2BIG 0", "read-only: EACCES 0", "write-only: EACCES 0", "short body: EINVAL 0", "body on a read: EINVAL 0", "unknown: ENOSYS 0",
            ],
            results);
    }

    [Fact]
    public void Case097_server_is_served_while_our_write_waits()
    {
        ulong address = 0;
        byte[] seen = [];
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.RegionWrite)
            {
                return false;
            }

            ushort id = peer.Send(VfioUserCommand.DmaRead, Bytes(new vfio_user_dma_access { address = address, count = 4 }));
            using VfioUserMessage reply = peer.ReceiveMessage();
            Assert.Equal(id, reply.Id);
            seen = reply.Payload[16..];
            return false;
        });
        using DmaBuffer memory = connection.AllocateDma(4096);
        address = memory.Iova;
        for (byte i = 0; i < 100; i++)
        {
            memory.Span[..4].Fill(i);
            connection.Bar(0).Write32(0, i);
            Assert.Equal([i, i, i, i], seen);
        }
    }

    [Fact]
    public void Case098_silent_server_times_out_and_its_late_reply_is_dropped()
    {
        using ManualResetEventSlim release = new(false);
        int reads = 0;
        VfioUserConnection connection = Open(
            (peer, message) =>
            {
                if (message.Command != VfioUserCommand.RegionRead)
                {
                    return false;
                }

                int number = ++reads;
                if (number == 1)
                {
                    release.Wait();
                }

                vfio_user_region_access access = message.Read<vfio_user_region_access>();
                peer.Reply(message, Join(Bytes(in access), [(byte)number, 0, 0, 0]));
                return true;
            },
            s_impatient);
        byte[] value = new byte[4];
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(Errno.ETIMEDOUT, connection.TryRead(0, 0, value));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 150, 30_000);
        Assert.True(connection.IsConnected);
        release.Set();
        Assert.Equal(Errno.None, connection.TryRead(0, 0, value));
        Assert.Equal(2, value[0]);
    }

    [Fact]
    public void Case098_flood_instead_of_an_answer_times_out()
    {
        VfioUserConnection connection = Open(
            (peer, message) =>
            {
                byte[] noise = Join([.. Enumerable.Repeat(VfioUserPeer.Compose(60000, VfioUserCommand.RegionRead, VfioUserFlags.Reply, default), 1000)]);
                while (message.Command == VfioUserCommand.RegionRead && peer.SendBytes(noise) == Errno.None)
                {
                }

                return false;
            },
            s_impatient);
        Assert.Equal(Errno.ETIMEDOUT, connection.TryRead(0, 0, new byte[4]));
        connection.Dispose();
    }

    [Theory]
    [InlineData(15u)]
    [InlineData(0x7FFFFFFFu)]
    public void Case098_stream_that_cannot_be_followed_ends_the_connection(uint size)
    {
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.RegionRead)
            {
                return false;
            }

            peer.SendBytes(VfioUserPeer.Compose(message.Id, message.Command, VfioUserFlags.Reply, default, size: size));
            return true;
        });
        Assert.Equal(Errno.EPROTO, connection.TryRead(0, 0, new byte[4]));
        Assert.Equal(Errno.EPROTO, connection.TryRead(0, 0, new byte[4]));
        Assert.False(connection.IsConnected);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(19)]
    [InlineData(21)]
    public void Case098_reply_of_the_wrong_length_is_EPROTO_and_the_connection_stays(int length)
    {
        bool lie = true;
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.RegionRead || !lie)
            {
                return false;
            }

            byte[] reply = new byte[length];
            message.Payload.AsSpan(0, Math.Min(16, length)).CopyTo(reply);
            peer.Reply(message, reply);
            lie = false;
            return true;
        });
        Assert.Equal(Errno.EPROTO, connection.TryRead(0, 0, new byte[4]));
        Assert.Equal(Errno.None, connection.TryRead(0, 0, new byte[4]));
    }

    [Fact]
    public void Case098_server_that_dies_fails_everything_at_once()
    {
        VfioUserConnection connection = Open(static (peer, message) =>
        {
            if (message.Command == VfioUserCommand.RegionRead)
            {
                peer.Socket.Shutdown();
                return true;
            }

            return false;
        });
        DmaBuffer memory = connection.AllocateDma(4096);
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(Errno.ENOTCONN, connection.TryRead(0, 0, new byte[4]));
        Assert.Equal(Errno.ENOTCONN, connection.TryWrite(0, 0, new byte[4]));
        memory.Dispose();
        connection.Dispose();
        Assert.Equal(Errno.ENOTCONN, connection.TryRead(0, 0, new byte[4]));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 4.5);
    }

    [Fact]
    public void Case041_client_sends_vectors_in_pieces_the_server_takes()
    {
        List<(uint Start, uint Count, int Descriptors)> requests = [];
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command == VfioUserCommand.DeviceSetIrqs)
            {
                vfio_irq_set set = message.Read<vfio_irq_set>();
                requests.Add((set.start, set.count, message.DescriptorCount));
                if (set.start == 116)
                {
                    peer.ReplyError(message, Errno.ENOSPC);
                    return true;
                }
            }

            return false;
        });
        using EventFd eventFd = new();
        FileDescriptor[] twenty = [.. Enumerable.Repeat(eventFd.Descriptor, 20)];
        Assert.Equal(Errno.None, connection.TrySetIrqs(PciInterrupt.Msix, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 4, 20, twenty).Error);
        Assert.Equal([(4, 8, 8), (12, 8, 8), (20, 4, 4)], requests);
        requests.Clear();
        Assert.Equal(Errno.ENOSPC, connection.TrySetIrqs(PciInterrupt.Msix, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 100, 20, twenty).Error);
        Assert.Equal([(100, 8, 8), (108, 8, 8), (116, 4, 4), (100, 16, 0)], requests);
    }

    [Theory]
    [InlineData(40, true)]
    [InlineData(48, true)]
    [InlineData(44, false)]
    [InlineData(8, false)]
    public void Case037_client_reads_entries_of_either_length(int stride, bool valid)
    {
        using EventFd one = new();
        using EventFd two = new();
        VfioUserConnection connection = Open((peer, message) =>
        {
            if (message.Command != VfioUserCommand.DeviceGetRegionIoFds)
            {
                return false;
            }

            uint argsz = message.Read<vfio_user_region_io_fds>().argsz;
            byte[] reply = new byte[16 + (4 * stride)];
            MemoryMarshal.Write(reply, new vfio_user_region_io_fds { argsz = (uint)reply.Length, index = 0, count = 4 });
            for (int i = 0; i < 4 && stride >= 40; i++)
            {
                Span<byte> entry = reply.AsSpan(16 + (i * stride), stride);
                BinaryPrimitives.WriteUInt64LittleEndian(entry, (ulong)i * 4);
                BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], 4);
                BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], i == 3 ? uint.MaxValue : (uint)i % 2); // The last has no eventfd.
                BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], i == 1 ? 1u : 0);
                BinaryPrimitives.WriteUInt64LittleEndian(entry[^8..], 0x77);
            }

            bool full = argsz >= reply.Length;
            peer.Reply(message, full ? reply.AsSpan() : reply.AsSpan(0, 16), full ? [one.Descriptor, two.Descriptor] : []);
            return true;
        });
        Errno error = connection.TryGetDoorbells(PciRegion.Bar0, out DoorbellSet? doorbells);
        Assert.Equal(valid ? Errno.None : Errno.EPROTO, error);
        if (valid)
        {
            using (doorbells)
            {
                Assert.Equal([(0UL, null), (4UL, 0x77UL), (8UL, null)], doorbells!.Select(static bell => (bell.Offset, bell.DataMatch)));
                Assert.Same(doorbells![0].Descriptor, doorbells[2].Descriptor);
                Assert.Equal(Errno.None, doorbells!.Ring(0));
                Assert.Equal(Errno.None, doorbells.Ring(1));
                Assert.True(one.TryConsume(out _));
                Assert.True(two.TryConsume(out _));
            }
        }
    }

    /// <summary>Two connected sockets, of which one is handed away.</summary>
    private sealed class UnixSocketPair : IDisposable
    {
        private readonly UnixSocket _first;
        private bool _taken;

        public UnixSocketPair()
        {
            UnixSocket.CreatePair(out _first, out UnixSocket second);
            Second = second;
        }

        public UnixSocket Second { get; }

        public UnixSocket TakeFirst()
        {
            _taken = true;
            return _first;
        }

        public void Dispose()
        {
            Second.Dispose();
            if (!_taken)
            {
                _first.Dispose();
            }
        }
    }
}
