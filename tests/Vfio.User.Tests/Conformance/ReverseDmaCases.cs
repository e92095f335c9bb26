using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 85 to 90: the server's own commands, and clients that leave.</summary>
public sealed class ReverseDmaCases : ConformanceTest
{
    private const ulong Page = 4096;

    private static VfioUserPeer OpenTwin(string path, out RawVfioUserClient client, string json = TwinCapabilities)
    {
        client = RawVfioUserClient.Connect(path);
        using VfioUserMessage reply = client.Negotiate(json);
        Assert.Equal(1, reply.DescriptorCount);
        return new VfioUserPeer(new UnixSocket(reply.TakeDescriptor(0)));
    }

    /// <summary>A client that takes little at a time, and the socket on which the server asks it.</summary>
    private static RawVfioUserClient ConnectSmall(DevicePair<ConformanceDevice> pair, bool twinSocket, int limit, out VfioUserPeer peer)
    {
        string json = """{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":LIMIT,"twin_socket":{"supported":TWIN}}}"""
            .Replace("LIMIT", limit.ToString(), StringComparison.Ordinal).Replace("TWIN", twinSocket ? "true" : "false", StringComparison.Ordinal);
        if (twinSocket)
        {
            peer = OpenTwin(pair.SocketPath, out RawVfioUserClient client, json);
            return client;
        }

        RawVfioUserClient single = pair.ConnectRaw(json);
        peer = single;
        return single;
    }

    private static Task<Errno> Start(Func<Errno> transfer)
        => Task.Factory.StartNew(transfer, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Serves one request out of a pattern, or into it.</summary>
    private static vfio_user_dma_access Answer(VfioUserPeer peer, VfioUserMessage request, byte[] memory)
    {
        using (request)
        {
            Assert.False(request.IsReply);
            vfio_user_dma_access access = request.Read<vfio_user_dma_access>();
            if (request.Command == VfioUserCommand.DmaRead)
            {
                Assert.Equal(16, request.Payload.Length);
                peer.Reply(request, Join(Bytes(in access), memory.AsSpan((int)access.address, (int)access.count).ToArray()));
            }
            else
            {
                Assert.Equal(VfioUserCommand.DmaWrite, request.Command);
                request.Payload.AsSpan(16).CopyTo(memory.AsSpan((int)access.address));
                Assert.Equal(16 + (int)access.count, request.Payload.Length);
                peer.Reply(request, in access);
            }

            return access;
        }
    }

    [Theory]
    [InlineData(1000, 256)]
    [InlineData(4096, 1 << 20)]
    [InlineData(3000, 1000)]
    [InlineData(2 << 20, 1 << 20)]
    public void Case085_reverse_dma_over_the_twin_socket(int length, int limit)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        string json = """{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":LIMIT,"twin_socket":{"supported":true}}}""".Replace("LIMIT", limit.ToString(), StringComparison.Ordinal);
        using VfioUserPeer twin = OpenTwin(pair.SocketPath, out RawVfioUserClient client, json);
        using (client)
        {
            byte[] memory = new byte[4 << 20];
            new Random(85).NextBytes(memory);
            Assert.Equal(Errno.None, client.MapDma(0, 4 << 20));
            StartDma(client, 100, length, ControlBlock.ReadInWork);
            int pieces = (length + limit - 1) / limit;
            for (int i = 0; i < pieces; i++)
            {
                vfio_user_dma_access access = Answer(twin, twin.ReceiveMessage(), memory);
                Assert.Equal((100 + ((ulong)i * (ulong)limit), (ulong)Math.Min(limit, length - (i * limit))), (access.address, access.count));
            }

            WaitFor(() => pair.Device.DmaDone == 1);
            Assert.Equal(Errno.None, pair.Device.LastDmaError);
            Assert.Equal(memory.AsSpan(100, length), pair.Device.DmaBytes.AsSpan(0, length));

            pair.Device.DmaBytes.AsSpan().Reverse();
            StartDma(client, 200, length, ControlBlock.WriteInWork);
            for (int i = 0; i < pieces; i++)
            {
                _ = Answer(twin, twin.ReceiveMessage(), memory);
            }

            WaitFor(() => pair.Device.DmaDone == 2);
            Assert.Equal(pair.Device.DmaBytes.AsSpan(0, length), memory.AsSpan(200, length));
            AssertAlive(client);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Case085_requests_of_a_transfer_are_in_flight_together_and_answered_in_any_order(bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = ConnectSmall(pair, twinSocket, 256, out VfioUserPeer peer);
        using (peer)
        {
            byte[] memory = new byte[0x4000];
            new Random(85).NextBytes(memory);
            Assert.Equal(Errno.None, client.MapDma(0, (ulong)memory.Length));
            byte[] bytes = new byte[(10 * 256) + 100];
            foreach (bool write in new[] { false, true })
            {
                Task<Errno> transfer = Start(() => write ? pair.Device.Dma.Write(300, bytes) : pair.Device.Dma.Read(300, bytes));

                // Eight at a time, and no more before they are answered.
                List<VfioUserMessage> requests = [.. Enumerable.Range(0, 8).Select(_ => peer.ReceiveMessage())];
                Assert.Equal(8, requests.Select(static request => request.Id).Distinct().Count());
                Assert.False(peer.HasInput(TimeSpan.FromMilliseconds(20)));
                requests.Reverse();
                requests.ForEach(request => Answer(peer, request, memory));
                requests = [.. Enumerable.Range(0, 3).Select(_ => peer.ReceiveMessage())];
                Assert.Equal([256, 256, 100], requests.Select(static request => (int)request.Read<vfio_user_dma_access>().count));
                _ = Answer(peer, requests[1], memory);
                Assert.False(transfer.IsCompleted);
                _ = Answer(peer, requests[2], memory);
                _ = Answer(peer, requests[0], memory);
                Assert.Equal(Errno.None, await transfer.WaitAsync(Patience, TestContext.Current.CancellationToken));
                Assert.Equal(bytes.AsSpan(), memory.AsSpan(300, bytes.Length));
                bytes.AsSpan().Reverse();
            }

            AssertAlive(client);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Case085_transfers_of_several_threads_do_not_wait_for_each_other(bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = ConnectSmall(pair, twinSocket, 4096, out VfioUserPeer peer);
        using (peer)
        {
            byte[] memory = new byte[0x10000];
            new Random(86).NextBytes(memory);
            Assert.Equal(Errno.None, client.MapDma(0, (ulong)memory.Length));
            byte[][] buffers = [.. Enumerable.Range(0, 4).Select(static _ => new byte[0x1000])];
            Task<Errno>[] transfers = new Task<Errno>[4];
            VfioUserMessage[] requests = new VfioUserMessage[4];
            for (int i = 0; i < 4; i++)
            {
                int number = i;
                transfers[i] = Start(() => pair.Device.Dma.Read((ulong)number * 0x1000, buffers[number]));
                requests[i] = peer.Expect(VfioUserCommand.DmaRead);
                Assert.Equal((ulong)i * 0x1000, requests[i].Read<vfio_user_dma_access>().address);
            }

            // The last that asked has its answer first: whoever receives gives it on, and lets another one receive.
            foreach (int i in new[] { 3, 0, 2, 1 })
            {
                _ = Answer(peer, requests[i], memory);
                Assert.Equal(Errno.None, await transfers[i].WaitAsync(Patience, TestContext.Current.CancellationToken));
                Assert.Equal(memory.AsSpan(i * 0x1000, 0x1000), buffers[i].AsSpan());
            }

            Assert.All(transfers, static transfer => Assert.True(transfer.IsCompletedSuccessfully));
            AssertAlive(client);
        }
    }

    /// <summary>What stops a device waits for its transfers, and the client answers those while it waits for the reply.</summary>
    /// <param name="how">A reset by command, a reset of the function by configuration space, or the stop of a migration.</param>
    /// <param name="twinSocket">Where the server asks.</param>
    [Theory]
    [InlineData("reset", true)]
    [InlineData("reset", false)]
    [InlineData("function reset", true)]
    [InlineData("function reset", false)]
    [InlineData("stop", true)]
    [InlineData("stop", false)]
    public void Resets_and_stops_are_answered_when_the_transfers_of_before_have_ended(string how, bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve(create: static () => new ConformanceDevice(Shape) { HasMigration = false });
        using RawVfioUserClient client = ConnectSmall(pair, twinSocket, 4096, out VfioUserPeer peer);
        using (peer)
        {
            byte[] memory = new byte[0x10000];
            Assert.Equal(Errno.None, client.MapDma(0, (ulong)memory.Length));
            int express = FindCapability(client, 0x10);
            pair.Device.DmaLength = 3 * 4096;
            pair.Device.StartDma(ControlBlock.ReadInWork);
            VfioUserMessage[] requests = [peer.Expect(VfioUserCommand.DmaRead), peer.Expect(VfioUserCommand.DmaRead), peer.Expect(VfioUserCommand.DmaRead)];
            VfioUserCommand command = how switch { "reset" => VfioUserCommand.DeviceReset, "stop" => VfioUserCommand.DeviceFeature, _ => VfioUserCommand.RegionWrite };
            ushort id = client.Send(command, how switch
            {
                "reset" => [],
                "stop" => SetState(MigrationState.Stop),
                _ => RawVfioUserClient.AccessPayload(7, (ulong)express + 8, [0x00, 0x80]),
            });
            foreach (VfioUserMessage request in requests)
            {
                Assert.False(client.HasInput(TimeSpan.FromMilliseconds(10)));
                Assert.Equal(0, Volatile.Read(ref pair.Device.DmaDone));
                _ = Answer(peer, request, memory);
            }

            AssertOk(client.ReceiveReply(id, command));
            Assert.Equal((1, Errno.None), (Volatile.Read(ref pair.Device.DmaDone), pair.Device.LastDmaError));
            AssertAlive(client);
        }

        static void Shape(PciDeviceBuilder pci)
            => pci.Bar(0, 0x10000, PciBarKind.Memory32, false, static bar => bar.Registers(0, new RamBlock(0x10000))).Migratable();
    }

    /// <summary>A client that keeps its transfer waiting, and sends other things meanwhile, has its answer before anything ends its connection.</summary>
    [Fact]
    public void Reset_is_answered_in_time_when_a_transfer_is_not()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        Assert.Equal(Errno.None, client.MapDma(0, 0x10000));
        StartDma(client, 0, 64, ControlBlock.ReadInWork);
        VfioUserMessage request = client.Expect(VfioUserCommand.DmaRead);
        long begun = Environment.TickCount64;
        ushort reset = client.Send(VfioUserCommand.DeviceReset);
        ushort read = client.Send(VfioUserCommand.RegionRead, RawVfioUserClient.AccessPayload(0, 0, new byte[4])[..16]);
        using (VfioUserMessage reply = client.ReceiveReply(reset, VfioUserCommand.DeviceReset))
        {
            Assert.Equal(Errno.ETIMEDOUT, reply.Error);
        }

        Assert.InRange(Environment.TickCount64 - begun, 900, 4000);
        client.ReceiveReply(read, VfioUserCommand.RegionRead).Dispose();
        _ = Answer(client, request, new byte[0x10000]);
        WaitFor(() => Volatile.Read(ref pair.Device.DmaDone) == 1);
        AssertOk(client.Request(VfioUserCommand.DeviceReset));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Case085_many_transfers_of_many_threads_with_answers_in_any_order(bool twinSocket)
    {
        const int Threads = 6;
        const int Rounds = 200;
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = ConnectSmall(pair, twinSocket, 64, out VfioUserPeer peer);
        using (peer)
        {
            byte[] memory = new byte[Threads * 0x1000];
            Assert.Equal(Errno.None, client.MapDma(0, (ulong)memory.Length));
            Task<Errno>[] transfers = [.. Enumerable.Range(0, Threads).Select(number => Start(() =>
            {
                Random random = new(number);
                byte[] expected = new byte[0x1000];
                byte[] bytes = new byte[0x1000];
                for (int i = 0; i < Rounds; i++)
                {
                    int offset = random.Next(0x800);
                    int length = random.Next(1, 0x400);
                    ulong address = (ulong)((number * 0x1000) + offset);
                    if (random.Next(2) == 0)
                    {
                        random.NextBytes(expected.AsSpan(offset, length));
                        Errno written = pair.Device.Dma.Write(address, expected.AsSpan(offset, length));
                        if (written != Errno.None)
                        {
                            return written;
                        }
                    }
                    else
                    {
                        Errno read = pair.Device.Dma.Read(address, bytes.AsSpan(0, length));
                        if (read != Errno.None)
                        {
                            return read;
                        }

                        Assert.Equal(expected.AsSpan(offset, length), bytes.AsSpan(0, length));
                    }
                }

                return Errno.None;
            }))];

            // What has arrived is answered in an order of its own.
            Random order = new(85);
            List<VfioUserMessage> arrived = [];
            Task all = Task.WhenAll(transfers);
            while (!all.IsCompleted)
            {
                while (peer.HasInput(arrived.Count == 0 ? TimeSpan.FromMilliseconds(20) : TimeSpan.Zero))
                {
                    arrived.Add(peer.ReceiveMessage());
                }

                for (int i = arrived.Count; i > 0; i--)
                {
                    int at = order.Next(arrived.Count);
                    _ = Answer(peer, arrived[at], memory);
                    arrived.RemoveAt(at);
                }
            }

            await all;
            Assert.All(transfers, static transfer => Assert.Equal(Errno.None, transfer.Result));
            AssertAlive(client);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Case085_error_of_one_request_is_that_of_the_transfer_and_late_answers_are_nobodys(bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = ConnectSmall(pair, twinSocket, 256, out VfioUserPeer peer);
        using (peer)
        {
            byte[] memory = new byte[0x1000];
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            byte[] bytes = new byte[16 * 256];
            Task<Errno> transfer = Start(() => pair.Device.Dma.Read(0, bytes));
            List<VfioUserMessage> requests = [.. Enumerable.Range(0, 8).Select(_ => peer.ReceiveMessage())];
            for (int i = 0; i < 8; i++)
            {
                if (i == 5)
                {
                    peer.ReplyError(requests[i], Errno.EFAULT);
                }
                else
                {
                    _ = Answer(peer, requests[i], memory);
                }
            }

            // The rest is not asked for.
            Assert.Equal(Errno.EFAULT, await transfer.WaitAsync(Patience, TestContext.Current.CancellationToken));
            Assert.False(peer.HasInput(TimeSpan.FromMilliseconds(20)));
            transfer = Start(() => pair.Device.Dma.Read(0x10, bytes.AsSpan(0, 4)));
            VfioUserMessage next = peer.Expect(VfioUserCommand.DmaRead);
            if (twinSocket)
            {
                peer.ReplyError(requests[0], Errno.EIO);
            }

            memory[0x10] = 0x5A;
            _ = Answer(peer, next, memory);
            Assert.Equal(Errno.None, await transfer.WaitAsync(Patience, TestContext.Current.CancellationToken));
            Assert.Equal(0x5A, bytes[0]);
            AssertAlive(client);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Case087_client_that_dies_fails_the_transfers_of_all_threads(bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        Task<Errno>[] transfers;
        using (RawVfioUserClient client = ConnectSmall(pair, twinSocket, 256, out VfioUserPeer peer))
        using (peer)
        {
            Assert.Equal(Errno.None, client.MapDma(0, 0x10000));
            transfers = [.. Enumerable.Range(0, 4).Select(number => Start(() => pair.Device.Dma.Read((ulong)number * 0x1000, new byte[2048])))];
            for (int i = 0; i < 4 * 8; i++)
            {
                peer.Expect(VfioUserCommand.DmaRead).Dispose();
            }
        }

        foreach (Task<Errno> transfer in transfers)
        {
            Assert.Contains(await transfer.WaitAsync(Patience, TestContext.Current.CancellationToken), new[] { Errno.ENOTCONN, Errno.EIO });
        }

        WaitFor(() => !pair.Server!.HasClient);
        using RawVfioUserClient next = pair.ConnectRaw();
        AssertAlive(next);
    }

    [Fact]
    public void Case085_twin_works_inside_any_handler()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using VfioUserPeer twin = OpenTwin(pair.SocketPath, out RawVfioUserClient client);
        using (client)
        {
            byte[] memory = new byte[0x1000];
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            Write64(client, ControlBlock.DmaAddress, 0);
            Write32(client, ControlBlock.DmaLength, 8);
            ushort id = client.Send(VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { offset = ControlBlock.DmaInRead, count = 4 }));
            _ = Answer(twin, twin.ReceiveMessage(), memory);
            using VfioUserMessage reply = client.ReceiveReply(id, VfioUserCommand.RegionRead);
            Assert.Equal((uint)Errno.None, reply.Read<uint>(16));
        }
    }

    [Fact]
    public void Case085_wrong_ids_are_not_believed()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using VfioUserPeer twin = OpenTwin(pair.SocketPath, out RawVfioUserClient client);
        using (client)
        {
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            StartDma(client, 0, 4, ControlBlock.ReadInWork);
            using VfioUserMessage request = twin.Expect(VfioUserCommand.DmaRead);
            vfio_user_dma_access access = request.Read<vfio_user_dma_access>();
            byte[] wrong = Join(Bytes(in access), [9, 9, 9, 9]);
            Assert.Equal(Errno.None, twin.SendBytes(VfioUserPeer.Compose((ushort)(request.Id + 1), VfioUserCommand.DmaRead, VfioUserFlags.Reply, wrong)));
            Assert.Equal(Errno.None, twin.SendBytes(VfioUserPeer.Compose(request.Id, VfioUserCommand.DmaWrite, VfioUserFlags.Reply, wrong)));
            twin.Reply(request, Join(Bytes(in access), [1, 2, 3, 4]));
            WaitFor(() => pair.Device.DmaDone == 1);
            Assert.Equal(Errno.None, pair.Device.LastDmaError);
            Assert.Equal([1, 2, 3, 4], pair.Device.DmaBytes[..4]);
        }
    }

    [Fact]
    public void Case086_commands_without_payload_do_not_queue_without_bound()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
        Write64(client, ControlBlock.DmaAddress, 0);
        Write32(client, ControlBlock.DmaLength, 4);
        Write32(client, ControlBlock.DmaCommand, ControlBlock.ReadInHandler);
        byte[] resets = Join([.. Enumerable.Repeat(VfioUserPeer.Compose(7, VfioUserCommand.DeviceReset, VfioUserFlags.Command | VfioUserFlags.NoReply, []), 1000)]);
        int sent = 0;
        while (sent < 100_000 && client.SendBytes(resets) == Errno.None)
        {
            sent += 1000;
        }

        WaitFor(() => pair.Server!.LastEnd != ConnectionEnd.None);
        Assert.Equal(ConnectionEnd.ProtocolError, pair.Server!.LastEnd);
        Assert.InRange(sent, 1000, 99_000);
    }

    [Fact]
    public void Case086_reverse_dma_in_band_while_reads_are_pipelined()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw("""{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":64}}""");
        byte[] memory = new byte[0x10000];
        new Random(86).NextBytes(memory);
        Assert.Equal(Errno.None, client.MapDma(0, (ulong)memory.Length));
        Write64(client, ControlBlock.DmaAddress, 0);
        Write32(client, ControlBlock.DmaLength, 6400);
        client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(0, ControlBlock.DmaCommand, BitConverter.GetBytes(ControlBlock.ReadInWork)));
        const int Window = 64;
        const int Reads = 2000;
        Queue<ushort> reads = [];
        int sent = 0;
        int transfers = 0;
        while (sent < Reads || reads.Count > 0 || transfers < 100)
        {
            while (sent < Reads && reads.Count < Window)
            {
                reads.Enqueue(client.Send(VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { offset = 0, count = 8 })));
                sent++;
            }

            VfioUserMessage message = client.ReceiveMessage();
            if (message.IsReply)
            {
                Assert.Equal(reads.Dequeue(), message.Id);
                AssertOk(message);
            }
            else
            {
                _ = Answer(client, message, memory);
                transfers++;
            }
        }

        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(memory.AsSpan(0, 6400), pair.Device.DmaBytes.AsSpan(0, 6400));
    }

    [Fact]
    public void Case086_write_that_starts_dma_by_message_is_answered_first()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] memory = new byte[0x1000];
        new Random(87).NextBytes(memory);
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
        Write64(client, ControlBlock.DmaAddress, 16);
        Write32(client, ControlBlock.DmaLength, 8);
        ushort write = client.Send(VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(0, ControlBlock.DmaCommand, BitConverter.GetBytes(ControlBlock.ReadInHandler)));
        AssertOk(client.ReceiveReply(write, VfioUserCommand.RegionWrite));

        // Commands that come before the answer keep their order and see the effect.
        VfioUserMessage request = client.Expect(VfioUserCommand.DmaRead);
        ushort first = client.Send(VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { offset = ControlBlock.DmaCount, count = 4 }));
        using MemFd shared = Memory();
        ushort second = client.Send(VfioUserCommand.DmaMap, Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, address = 0x10000, size = 0x1000 }), shared.Descriptor);
        _ = Answer(client, request, memory);
        using (VfioUserMessage count = client.ReceiveReply(first, VfioUserCommand.RegionRead))
        {
            Assert.Equal(1u, count.Read<uint>(16));
        }

        AssertOk(client.ReceiveReply(second, VfioUserCommand.DmaMap));
        Assert.Equal(memory.AsSpan(16, 8), pair.Device.DmaBytes.AsSpan(0, 8));
    }

    [Fact]
    public void Case086_dma_by_message_inside_a_read_is_EDEADLK()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
        Write64(client, ControlBlock.DmaAddress, 0);
        Write32(client, ControlBlock.DmaLength, 8);
        Assert.Equal((uint)Errno.EDEADLK, Read32(client, ControlBlock.DmaInRead));
        AssertAlive(client);
    }

    [Fact]
    public void Case086_unmap_while_a_transfer_waits_for_the_client()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] memory = new byte[0x1000];
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
        StartDma(client, 0, 8, ControlBlock.ReadInWork);
        VfioUserMessage request = client.Expect(VfioUserCommand.DmaRead);
        ushort unmap = client.Send(VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, size = 0x1000 }));
        Assert.False(client.HasInput(TimeSpan.FromMilliseconds(50)));
        _ = Answer(client, request, memory);
        AssertOk(client.ReceiveReply(unmap, VfioUserCommand.DmaUnmap));
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case087_replies_to_dma_writes(bool twinSocket)
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        RawVfioUserClient client;
        VfioUserPeer? twin = null;
        if (twinSocket)
        {
            twin = OpenTwin(pair.SocketPath, out client);
        }
        else
        {
            client = pair.ConnectRaw();
        }

        VfioUserPeer peer = twin ?? client;
        using (twin)
        using (client)
        {
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            Errno Try(Action<VfioUserMessage, vfio_user_dma_access> answer)
            {
                int before = pair.Device.DmaDone;
                StartDma(client, 0x10, 4, ControlBlock.WriteInWork);
                using VfioUserMessage request = peer.Expect(VfioUserCommand.DmaWrite);
                answer(request, request.Read<vfio_user_dma_access>());
                WaitFor(() => pair.Device.DmaDone == before + 1);
                return pair.Device.LastDmaError;
            }

            Assert.Equal(Errno.None, Try((request, access) => peer.Reply(request, in access)));
            Assert.Equal(Errno.None, Try((request, _) => peer.Reply(request)));
            Assert.Equal(Errno.EIO, Try((request, access) => peer.Reply(request, access with { count = 5 })));
            Assert.Equal(Errno.EIO, Try((request, access) => peer.Reply(request, access with { address = 0 })));
            Assert.Equal(Errno.EIO, Try((request, _) => peer.Reply(request, new byte[15])));
            Assert.Equal(Errno.EIO, Try((request, access) => peer.Reply(request, Join(Bytes(in access), [1]))));
            Assert.Equal(Errno.EFAULT, Try((request, _) => peer.ReplyError(request, Errno.EFAULT)));
            Assert.Equal(Errno.EINVAL, Try((request, _) => peer.ReplyError(request, (Errno)0)));
            Assert.Equal(Errno.EINVAL, Try((request, _) => peer.ReplyError(request, (Errno)0x7FFFFFFF)));
            AssertAlive(client);

            // No answer at all: the device gets an error at the deadline, and the client is sent away.
            Assert.Equal(Errno.EIO, Try((_, _) => { }));
            Assert.True(client.WaitForEnd());
        }

        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.TimedOut, pair.Server!.LastEnd);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case087_client_that_sends_its_reply_a_byte_at_a_time_is_cut_off(bool otherReplies)
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        using VfioUserPeer twin = OpenTwin(pair.SocketPath, out RawVfioUserClient client);
        using (client)
        {
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            StartDma(client, 0, 4, ControlBlock.ReadInWork);
            twin.Expect(VfioUserCommand.DmaRead).Dispose();
            byte[] noise = VfioUserPeer.Compose(999, VfioUserCommand.DmaRead, VfioUserFlags.Reply, new byte[64]);
            for (int i = 0; i < 100 && pair.Device.DmaDone == 0; i++)
            {
                _ = twin.SendBytes(otherReplies ? noise : noise.AsSpan(i % noise.Length, 1));
                Thread.Sleep(20);
            }

            Assert.Equal(1, pair.Device.DmaDone);
            Assert.Equal(Errno.EIO, pair.Device.LastDmaError);
            Assert.True(client.WaitForEnd());
        }
    }

    [Fact]
    public void Case087_client_that_dies_in_a_transfer()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        ConformanceDevice device = pair.Device;
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
            StartDma(client, 0, 4, ControlBlock.ReadInWork);
            client.Expect(VfioUserCommand.DmaRead).Dispose();
        }

        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(Errno.ENOTCONN, device.LastDmaError);
        using RawVfioUserClient next = pair.ConnectRaw();
        AssertAlive(next);
    }

    [Fact]
    public void Case088_client_that_dies_while_an_unmap_waits()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using MemFd memory = Memory();
        using ManualResetEventSlim opened = new(false);
        using ManualResetEventSlim finish = new(false);
        Thread copier = new(() =>
        {
            Assert.Equal(Errno.None, pair.Device.Dma.TryOpenWindow(0, 64, DmaAccess.Write, out DmaWindow window));
            opened.Set();
            finish.Wait();
            window.Dispose();
        });
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
            pair.Device.Resets.Clear();
            copier.Start();
            opened.Wait();
            client.Send(VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, size = Page }));
            Assert.False(client.HasInput(TimeSpan.FromMilliseconds(50)));
        }

        finish.Set();
        copier.Join();
        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal([ResetKind.LostClient], pair.Device.Resets);
        using RawVfioUserClient next = pair.ConnectRaw();
        AssertAlive(next);
    }

    [Fact]
    public void Case089_device_that_does_not_let_go_gives_an_error_reply()
    {
        DmaPin? pin = null;
        DevicePair<ConformanceDevice> pair = Serve(create: static () => new ConformanceDevice { Pins = true });
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        Assert.Equal(Errno.None, pair.Device.Dma.TryPin(0, 64, DmaAccess.Write, out pin));
        AssertError(Errno.EDEADLK, client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = 24, size = Page }));
        pin!.Dispose();
        Assert.Equal(Errno.None, client.UnmapDma(0, Page));
    }

    [Fact]
    public async Task Case090_stopping_the_server_ends_the_client_and_removes_the_socket()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        string path = pair.SocketPath;
        using RawVfioUserClient client = pair.ConnectRaw();
        await pair.Server!.DisposeAsync();
        Assert.False(File.Exists(path));
        Assert.True(client.WaitForEnd());
        Assert.True(pair.Server.Completion.IsCompletedSuccessfully);
        await pair.Server.DisposeAsync();
    }

    [Fact]
    public async Task Case090_stopping_the_server_leaves_what_others_put_in_the_place_of_its_socket()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        File.Delete(pair.SocketPath);
        await File.WriteAllTextAsync(pair.SocketPath, string.Empty, TestContext.Current.CancellationToken);
        await pair.Server!.DisposeAsync();
        Assert.True(File.Exists(pair.SocketPath));
        File.Delete(pair.SocketPath);

        DevicePair<ConformanceDevice> moved = Serve();
        File.Delete(moved.SocketPath);
        await moved.Server!.DisposeAsync();
    }

    [Fact]
    public async Task Case090_unregistering_the_device_ends_the_client()
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { DisconnectAfterRequests = 0 });
        using EventFd request = new();
        using RawVfioUserClient client = pair.ConnectRaw();
        Assert.Equal(Errno.None, client.SetIrqs(4, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, default, request.Descriptor));
        await pair.Registration.DisposeAsync();
        Assert.True(request.TryConsume(out _));
        Assert.True(client.WaitForEnd());
        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.DeviceWithdrawn, pair.Server!.LastEnd);
    }

    [Fact]
    public void Case006_second_client_is_sent_away_or_waits()
    {
        DevicePair<ConformanceDevice> refusing = Serve();
        using (RawVfioUserClient first = refusing.ConnectRaw())
        using (RawVfioUserClient second = RawVfioUserClient.Connect(refusing.SocketPath))
        {
            Assert.True(second.WaitForEnd());
            AssertAlive(first);
        }

        DevicePair<ConformanceDevice> patient = Serve(new VfioUserServerOptions { SecondClient = SecondClientPolicy.Wait });
        RawVfioUserClient early = patient.ConnectRaw();
        using RawVfioUserClient late = RawVfioUserClient.Connect(patient.SocketPath);
        Assert.False(late.HasInput(TimeSpan.FromMilliseconds(50)));
        early.Dispose();
        AssertOk(late.Negotiate("{}"));
        AssertAlive(late);
    }
}
