using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>
/// Cases 99 to 101: what real peers send, message by message (spec vfio-user §4). The peers themselves are not here; QEMU is run by
/// tests of its own.
/// </summary>
public sealed class PeerSequences : ConformanceTest
{
    private const uint Config = (uint)PciRegion.Config;
    private const ulong Page = 4096;
    private const IrqSetFlags None = IrqSetFlags.DataNone;
    private const IrqSetFlags Fd = IrqSetFlags.DataEventFd;
    private const IrqSetFlags Mask = IrqSetFlags.ActionMask;
    private const IrqSetFlags Unmask = IrqSetFlags.ActionUnmask;
    private const IrqSetFlags Trigger = IrqSetFlags.ActionTrigger;

    /// <summary>QEMU receives into buffers whose sizes it fixed beforehand: a longer reply is an error to it (§4.2).</summary>
    private static VfioUserMessage Bounded(RawVfioUserClient client, int limit, VfioUserCommand command, byte[] payload, params FileDescriptor[] descriptors)
    {
        VfioUserMessage reply = client.Request(command, payload, descriptors);
        Assert.Equal(Errno.None, reply.Error);
        Assert.InRange(reply.Header.msg_size, 16u, (uint)limit);
        return reply;
    }

    private static byte[] SetIrqs(uint index, IrqSetFlags flags, uint start, uint count)
        => Bytes(new vfio_irq_set { argsz = 20, flags = (uint)flags, index = index, start = start, count = count });

    [Fact]
    public void Case101_qemu_sequence()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        byte[] version = RawVfioUserClient.VersionPayload(0, 0, RawVfioUserClient.QemuCapabilities);
        Bounded(client, 16 + version.Length, VfioUserCommand.Version, version).Dispose();

        // DMA maps before anything else, pipelined; ROM-like sections without a descriptor.
        using FakeGuestMemory ram = new(0, 0x400000, seal: false);
        vfio_user_dma_map low = new() { argsz = 32, flags = 3, address = 0, size = 0xA0000 };
        ushort[] maps =
        [
            client.Send(VfioUserCommand.DmaMap, Bytes(in low), ram.Descriptor),
            client.Send(VfioUserCommand.DmaMap, Bytes(low with { flags = 1, address = 0xC0000, size = 0x20000, fd_offset = 0 })),
            client.Send(VfioUserCommand.DmaMap, Bytes(low with { flags = 1, address = 0xE0000, size = 0x20000, fd_offset = 0xE0000 }), ram.Descriptor),
            client.Send(VfioUserCommand.DmaMap, Bytes(low with { address = 0x100000, size = 0x300000, fd_offset = 0x100000 }), ram.Descriptor),
            client.Send(VfioUserCommand.DmaMap, Bytes(low with { flags = 1, address = 0xFFFC0000, size = 0x40000 })),
        ];
        foreach (ushort id in maps)
        {
            using VfioUserMessage reply = client.ReceiveReply(id, VfioUserCommand.DmaMap);
            Assert.Equal(Errno.None, reply.Error);
            Assert.InRange(reply.Header.msg_size, 16u, 48u);
        }

        using (VfioUserMessage info = Bounded(client, 32, VfioUserCommand.DeviceGetInfo, Bytes(new vfio_user_device_info { argsz = 16 })))
        {
            vfio_user_device_info device = info.Read<vfio_user_device_info>();
            Assert.NotEqual(0u, device.flags & 2);
            Assert.InRange(device.num_regions, 8u, 100u);
            Assert.InRange(device.num_irqs, 3u, 50u);
        }

        // Each region with 32 bytes first and again with what it asks for.
        vfio_region_info[] regions = new vfio_region_info[8];
        foreach (uint index in new uint[] { 0, 1, 2, 3, 4, 5, 7 })
        {
            VfioUserMessage reply = Bounded(client, 16 + 32, VfioUserCommand.DeviceGetRegionInfo, Bytes(new vfio_region_info { argsz = 32, index = index }));
            regions[index] = reply.Read<vfio_region_info>();
            if (regions[index].argsz > 32)
            {
                reply.Dispose();
                uint argsz = regions[index].argsz;
                reply = Bounded(client, 16 + (int)argsz, VfioUserCommand.DeviceGetRegionInfo, Bytes(new vfio_region_info { argsz = argsz, index = index }));
                regions[index] = reply.Read<vfio_region_info>();
            }

            using (reply)
            {
                bool mappable = (regions[index].flags & (uint)RegionFlags.Map) != 0;
                Assert.Equal(mappable ? 1 : 0, reply.DescriptorCount);
                Assert.True(regions[index].size == 0 || ulong.IsPow2(regions[index].size));
            }
        }

        Bounded(client, 32, VfioUserCommand.DeviceGetIrqInfo, Bytes(new vfio_irq_info { argsz = 16, index = 3 })).Dispose();

        byte[] image = client.ReadRegion(Config, 0, 4096);
        Write32(client, 0x30, 0xFFFFF800, Config);
        uint rom = Read32(client, 0x30, Config);
        Write32(client, 0x30, 0, Config);
        Assert.Equal(4096u, ~(rom & 0xFFFFF800) + 1);
        for (uint i = 0; i < 6; i++)
        {
            _ = Read32(client, 0x10 + (i * 4), Config);
        }

        // Capabilities in the copy; MSI-X table inside a BAR whose region covers it.
        int msix = image[0x34];
        while (image[msix] != 0x11)
        {
            msix = image[msix + 1];
            Assert.NotEqual(0, msix);
        }

        uint vectors = (BinaryPrimitives.ReadUInt32LittleEndian(client.ReadRegion(Config, (ulong)msix, 4)) >> 16 & 0x7FF) + 1;
        uint table = Read32(client, (ulong)msix + 4, Config);
        uint pba = Read32(client, (ulong)msix + 8, Config);
        Assert.True((table & ~7u) + (vectors * 16) <= regions[table & 7].size);
        Assert.True((pba & ~7u) + (vectors / 8) <= regions[pba & 7].size);
        using (VfioUserMessage irq = Bounded(client, 32, VfioUserCommand.DeviceGetIrqInfo, Bytes(new vfio_irq_info { argsz = 16, index = 2 })))
        {
            Assert.Equal(vectors, irq.Read<vfio_irq_info>().count);
        }

        Assert.Equal(1, client.ReadRegion(Config, 0x3D, 1)[0]);
        using EventFd intx = new();
        using EventFd resample = new();
        using EventFd err = new();
        void PinOn()
        {
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, Fd | Trigger, 0, 1), intx.Descriptor).Dispose();
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, None | Mask, 0, 1)).Dispose();
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, Fd | Unmask, 0, 1), resample.Descriptor).Dispose();
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, None | Unmask, 0, 1)).Dispose();
        }

        void PinOff()
        {
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, None | Mask, 0, 1)).Dispose();
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, None | Unmask, 0, 1)).Dispose();
            Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(0, None | Trigger, 0, 0)).Dispose();
        }

        PinOn();
        Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(3, Fd | Trigger, 0, 1), err.Descriptor).Dispose();

        // Machine reset.
        PinOff();
        byte[] command = client.ReadRegion(Config, 4, 2);
        Assert.Equal(Errno.None, client.WriteRegion(Config, 4, [(byte)(command[0] & ~7), (byte)(command[1] & ~4)]));
        Bounded(client, 16, VfioUserCommand.DeviceReset, []).Dispose();
        PinOn();
        for (uint i = 0; i < 6; i++)
        {
            Write32(client, 0x10 + (i * 4), 0, Config);
        }

        // The guest: sizing and placing BARs, each move with maps of the device's own memory, which have no descriptor.
        Write32(client, 0x1C, uint.MaxValue, Config);
        _ = Read32(client, 0x1C, Config);
        Write32(client, 0x1C, 0xFE000000, Config);
        Assert.Equal(Errno.None, client.WriteRegion(Config, 4, [0x06]));
        Assert.Equal(Errno.None, client.MapDma(0xFE000000, 0x2000));
        pair.Device.Interrupts.SetIntx(true);
        Assert.True(intx.TryConsume(out _));
        pair.Device.Interrupts.SetIntx(false);
        Assert.Equal(Errno.None, resample.Signal());
        Assert.Equal(Errno.None, client.UnmapDma(0xFE000000, 0x2000));

        // MSI-X: the config write, the pin off, "no vector yet", then the vectors, one more later, and the PBA.
        Assert.Equal(Errno.None, client.WriteRegion(Config, (ulong)msix + 2, [0xFF, 0x87]));
        PinOff();
        Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(2, Fd | Trigger, 0, 1)).Dispose();
        EventFd[] events = [.. Enumerable.Range(0, 17).Select(static _ => new EventFd())];
        Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(2, Fd | Trigger, 0, 16), [.. events[..16].Select(static e => e.Descriptor)]).Dispose();
        Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(2, Fd | Trigger, 16, 1), events[16].Descriptor).Dispose();
        for (int i = 0; i < 17; i++)
        {
            Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(i));
            Assert.True(events[i].TryConsume(out _));
        }

        Assert.Equal(0UL, Read64(client, pba & ~7u, pba & 7));
        Array.ForEach(events, static e => e.Dispose());

        // Posted writes to memory BARs, then a read that sees them; DMA into RAM.
        for (uint i = 0; i < 50; i++)
        {
            client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(1, i * 4, BitConverter.GetBytes(i)));
        }

        Assert.Equal(49u, Read32(client, 49 * 4, 1));
        ram.Write(0x200000, 0x1122334455667788);
        StartDma(client, 0x200000, 8, ControlBlock.ReadInWork);
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(0x1122334455667788, MemoryMarshal.Read<long>(pair.Device.DmaBytes));

        // The end.
        Bounded(client, 36, VfioUserCommand.DeviceSetIrqs, SetIrqs(2, None | Trigger, 0, 0)).Dispose();
        PinOn();
        Bounded(client, 40, VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, address = 0x100000, size = 0x300000 })).Dispose();
        Bounded(client, 40, VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, flags = 2 })).Dispose();
    }

    [Fact]
    public void Case101_spdk_sequence()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);

        // Ids are always 0, bodies are read by one read into 4096 bytes.
        VfioUserMessage Send(VfioUserCommand command, byte[] payload, params FileDescriptor[] descriptors)
        {
            Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(0, command, 0, payload), descriptors));
            VfioUserMessage reply = client.ReceiveReply(0, command);
            Assert.Equal(Errno.None, reply.Error);
            Assert.InRange(reply.Payload.Length, 0, 4096);
            return reply;
        }

        Send(VfioUserCommand.Version, RawVfioUserClient.VersionPayload(0, 1, null)).Dispose();
        uint count;
        using (VfioUserMessage info = Send(VfioUserCommand.DeviceGetInfo, Bytes(new vfio_user_device_info { argsz = 16 })))
        {
            count = info.Read<vfio_user_device_info>().num_regions;
            Assert.InRange(count, 1u, 10u);
        }

        for (uint i = 0; i < count; i++)
        {
            byte[] body = new byte[4064];
            MemoryMarshal.Write(body, new vfio_region_info { argsz = 4064, index = i });
            using VfioUserMessage region = Send(VfioUserCommand.DeviceGetRegionInfo, body);
            Assert.InRange(region.DescriptorCount, 0, 1);
        }

        using FakeGuestMemory huge = new(0, 4 << 20);
        for (ulong i = 0; i < 2; i++)
        {
            Send(
                VfioUserCommand.DmaMap,
                Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, fd_offset = i << 21, address = 0x7F00_0000_0000 + (i << 21), size = 2 << 20 }),
                huge.Descriptor).Dispose();
        }

        huge.Write(0x200010, 0x5151);
        foreach ((ulong offset, ulong value, int width) in new[] { (ControlBlock.DmaAddress, 0x7F00_0020_0010UL, 8), (ControlBlock.DmaLength, 4UL, 4), (ControlBlock.DmaCommand, 1UL, 4) })
        {
            using VfioUserMessage write = Send(VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(0, offset, BitConverter.GetBytes(value).AsSpan(0, width)));
            Assert.Equal(16, write.Payload.Length);
        }

        Assert.Equal(0x5151, MemoryMarshal.Read<int>(pair.Device.DmaBytes));
        using (VfioUserMessage read = Send(VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { offset = 0, region = 0, count = 8 })))
        {
            Assert.Equal(24, read.Payload.Length);
        }

        for (ulong i = 0; i < 2; i++)
        {
            using VfioUserMessage unmap = Send(
                VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, address = 0x7F00_0000_0000 + (i << 21), size = 2 << 20 }), huge.Descriptor);
            Assert.Equal(24, unmap.Payload.Length);
        }
    }

    [Fact]
    public void Case101_cloud_hypervisor_sequence()
    {
        const string Json = """{"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,"migration":{"pgsize":4096}}}""";
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        using (VfioUserMessage version = client.Negotiate(Json, minor: 1))
        {
            Assert.Equal(Errno.None, version.Error);
            Assert.True(version.Payload.Length > 5);
        }

        using (VfioUserMessage info = client.Request(VfioUserCommand.DeviceGetInfo, Join(Bytes(new vfio_user_device_info { argsz = 32 }), new byte[16])))
        {
            Assert.Equal(16, info.Payload.Length);
        }

        // Two requests for a region have the same id.
        for (uint index = 0; index < 9; index++)
        {
            ushort id = (ushort)(100 + index);
            Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(id, VfioUserCommand.DeviceGetRegionInfo, 0, Bytes(new vfio_region_info { argsz = 32, index = index }))));
            using VfioUserMessage first = client.ReceiveReply(id, VfioUserCommand.DeviceGetRegionInfo);
            uint argsz = first.Read<vfio_region_info>().argsz;
            if (argsz > 32)
            {
                Assert.Equal(Errno.None, client.SendBytes(VfioUserPeer.Compose(id, VfioUserCommand.DeviceGetRegionInfo, 0, Bytes(new vfio_region_info { argsz = argsz, index = index }))));
                using VfioUserMessage second = client.ReceiveReply(id, VfioUserCommand.DeviceGetRegionInfo);
                Assert.Equal((int)argsz, second.Payload.Length);
                Assert.Equal(1, second.DescriptorCount);
            }
        }

        AssertOk(client.Request(VfioUserCommand.DeviceReset));

        // Capabilities byte by byte; every plausible place answers, since an error where data are expected blocks it for ever.
        for (ulong at = 0; at < 256; at++)
        {
            Assert.Single(client.ReadRegion(Config, at, 1));
        }

        foreach (uint index in new uint[] { 2, 1, 0 })
        {
            using VfioUserMessage irq = client.Request(VfioUserCommand.DeviceGetIrqInfo, new vfio_irq_info { argsz = 16, index = index });
            Assert.Equal(16, irq.Payload.Length);
        }

        using EventFd pin = new();
        Assert.Equal(Errno.None, client.SetIrqs(0, Fd | Trigger, 0, 1, default, pin.Descriptor));
        using FakeGuestMemory ram = new(0, 0x200000);
        Assert.Equal(Errno.None, client.MapDma(0, 0x200000, ram.Descriptor));
        foreach (ulong register in new ulong[] { 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x30 })
        {
            uint old = Read32(client, register, Config);
            Write32(client, register, uint.MaxValue, Config);
            _ = Read32(client, register, Config);
            Write32(client, register, old, Config);
        }

        // With the pin in use every BAR access is followed by an unmask, in any BAR and at any offset.
        pair.Device.Interrupts.SetIntx(true);
        foreach ((uint region, ulong offset) in new[] { (0u, 0x40UL), (0u, 0xF000UL), (2u, 0UL), (2u, 0x7FF8UL), (4u, 0x8000UL) })
        {
            Assert.Equal(4, client.ReadRegion(region, offset, 4).Length);
            Assert.Equal(Errno.None, client.WriteRegion(region, offset, new byte[4]));
            Assert.Equal(Errno.None, client.SetIrqs(0, None | Unmask, 0, 1));
            Assert.True(pin.TryConsume(out _));
        }

        // MSI-X in blocks of 16, whatever the limit is.
        EventFd[] events = [.. Enumerable.Range(0, 40).Select(static _ => new EventFd())];
        for (int start = 0; start < events.Length; start += 16)
        {
            FileDescriptor[] block = [.. events[start..Math.Min(start + 16, events.Length)].Select(static e => e.Descriptor)];
            Assert.Equal(Errno.None, client.SetIrqs(2, Fd | Trigger, (uint)start, (uint)block.Length, default, block));
        }

        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(39));
        Assert.True(events[39].TryConsume(out _));
        Assert.Equal(Errno.None, client.SetIrqs(2, None | Trigger, 0, 0));
        Array.ForEach(events, static e => e.Dispose());
        using VfioUserMessage unmap = client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = 24, size = 0x200000 });
        Assert.Equal(40u, unmap.Header.msg_size);
        client.Socket.Shutdown();
        WaitFor(() => !pair.Server!.HasClient);
    }

    [Fact]
    public void Case101_libvfio_user_sample_sequence()
    {
        const string Json = """{ "capabilities": { "max_msg_fds": 32, "max_data_xfer_size": 1024 } }""";
        DevicePair<ConformanceDevice> source = Serve();
        byte[] state = new byte[25 * 1024];
        new Random(101).NextBytes(state);
        source.Device.TestMigration.State = state;
        RawVfioUserClient client = source.ConnectRaw(Json);
        using (client)
        {
            AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionRead, new vfio_user_region_access { region = 0xDEADBEEF, count = 4 }));
            using (VfioUserMessage info = client.Request(VfioUserCommand.DeviceGetInfo, new vfio_user_device_info { argsz = 16 }))
            {
                Assert.Equal(9u, info.Read<vfio_user_device_info>().num_regions);
            }

            for (uint i = 0; i < 9; i++)
            {
                AssertOk(client.Request(VfioUserCommand.DeviceGetRegionInfo, new vfio_region_info { argsz = 4096, index = i }));
            }

            Assert.Equal(64, client.ReadRegion(Config, 0, 64).Length);
            AssertOk(client.Request(VfioUserCommand.DeviceReset));

            // Twice as many one-page maps of one file as descriptors fit a message.
            using FakeGuestMemory file = new(0, 32 * Page);
            for (ulong i = 0; i < 32; i++)
            {
                Assert.Equal(Errno.None, client.MapDma(i * Page, Page, file.Descriptor, i * Page));
            }

            Assert.Equal(Errno.None, client.MapDma(0x100000, 0x2000));
            for (uint i = 0; i < 5; i++)
            {
                AssertOk(client.Request(VfioUserCommand.DeviceGetIrqInfo, new vfio_irq_info { argsz = 16, index = i }));
            }

            using EventFd pin = new();
            Assert.Equal(Errno.None, client.SetIrqs(0, Fd | Trigger, 0, 1, default, pin.Descriptor));
            AssertOk(client.Request(VfioUserCommand.DeviceFeature, Feature(6 | (1 << 17), 24, Bytes(new vfio_user_dma_logging_control { page_size = Page }))));

            Write64(client, 0, 0x0123456789ABCDEF);
            Assert.Equal(0x0123456789ABCDEFUL, Read64(client, 0));
            source.Device.Interrupts.SetIntx(true);
            Assert.True(pin.Wait(5000) && pin.TryConsume(out _));

            // Four writes, then four reads of 1024 bytes, in band and in that order.
            byte[] memory = new byte[4096];
            new Random(5).NextBytes(source.Device.DmaBytes.AsSpan(0, 4096));
            StartDma(client, 0x100000, 4096, ControlBlock.WriteInWork);
            for (int i = 0; i < 4; i++)
            {
                using VfioUserMessage request = client.Expect(VfioUserCommand.DmaWrite);
                vfio_user_dma_access access = request.Read<vfio_user_dma_access>();
                Assert.Equal((0x100000UL + ((ulong)i * 1024), 1024UL), (access.address, access.count));
                request.Payload.AsSpan(16).CopyTo(memory.AsSpan(i * 1024));
                client.Reply(request, in access);
            }

            WaitFor(() => source.Device.DmaDone == 1);
            byte[] written = source.Device.DmaBytes[..4096];
            Assert.Equal(written, memory);
            Array.Clear(source.Device.DmaBytes);
            StartDma(client, 0x100000, 4096, ControlBlock.ReadInWork);
            for (int i = 0; i < 4; i++)
            {
                using VfioUserMessage request = client.Expect(VfioUserCommand.DmaRead);
                client.Reply(request, Join(request.Payload, memory[(i * 1024)..((i + 1) * 1024)]));
            }

            WaitFor(() => source.Device.DmaDone == 2);
            Assert.Equal(written, source.Device.DmaBytes[..4096]);

            StartDma(client, Page, 4, ControlBlock.WriteInHandler);
            for (uint i = 0; i < 2; i++)
            {
                using VfioUserMessage report = client.Request(VfioUserCommand.DeviceFeature, Feature(
                    8 | (1 << 16), 40, Bytes(new vfio_user_dma_logging_report { iova = i * Page, length = Page, page_size = Page })));
                Assert.Equal(40, report.Payload.Length);
                Assert.Equal(i == 1 ? 1UL : 0, report.Read<ulong>(32));
            }

            AssertOk(client.Request(VfioUserCommand.DeviceFeature, Feature(7 | (1 << 17), 24, new byte[16])));
            for (ulong i = 0; i < 16; i++)
            {
                Assert.Equal(Errno.None, client.UnmapDma(i * Page, Page));
            }

            List<byte> stream = [];
            void Set(MigrationState wanted)
                => AssertOk(client.Request(VfioUserCommand.DeviceFeature, SetState(wanted)));
            int Read()
            {
                using VfioUserMessage data = client.Request(VfioUserCommand.MigrationDataRead, new vfio_user_mig_data { argsz = 8 + 1024, size = 1024 });
                Assert.Equal(8 + 1024, data.Payload.Length);
                int size = (int)data.Read<vfio_user_mig_data>().size;
                stream.AddRange(data.Payload[8..(8 + size)]);
                return size;
            }

            Set(MigrationState.PreCopy);
            for (int i = 0; i < 12; i++)
            {
                Assert.Equal(1024, Read());
            }

            stream.Clear();
            Set(MigrationState.StopCopy);
            while (Read() == 1024)
            {
            }

            Assert.Equal(state, stream);
            Set(MigrationState.Stop);
        }

        DevicePair<ConformanceDevice> target = Serve();
        using RawVfioUserClient second = target.ConnectRaw(Json);
        Assert.Equal(Errno.None, State(second, MigrationState.Resuming));
        for (int i = 0; i < state.Length; i += 1024)
        {
            AssertOk(second.Request(VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 8 + 1024, size = 1024 }), state[i..(i + 1024)])));
        }

        Assert.Equal(Errno.None, State(second, MigrationState.Stop));
        Assert.Equal(state, target.Device.TestMigration.Received);
        Assert.Equal(Errno.None, State(second, MigrationState.Running));
        Assert.Equal(Errno.None, second.MapDma(0, Page));
        Assert.Equal(Errno.None, second.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));

        static Errno State(RawVfioUserClient peer, MigrationState wanted)
        {
            using VfioUserMessage reply = peer.Request(
                VfioUserCommand.DeviceFeature, SetState(wanted));
            return reply.Error;
        }
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Case099_boot_like_sequence_by_our_client(bool twin, bool share)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using VfioUserConnection connection = pair.Connect(new VfioUserClientOptions { OfferTwinSocket = twin, ShareMemory = share });
        Assert.Equal(twin, connection.HasTwinSocket);
        Assert.Equal((9, 5), (connection.Regions.Count, connection.Irqs.Count));
        Assert.Equal([new SparseArea(0x1000, 0x1000), new SparseArea(0x4000, 0x2000)], connection.Regions[2].MappableAreas);
        Assert.Equal([new SparseArea(0, 0x2000)], connection.Regions[3].MappableAreas);
        Assert.Equal(0x56781234u, connection.Config.Read32(0));

        using (MemoryMapping high = connection.Map(PciRegion.Bar2, 0x5000, 0x1000))
        {
            high.Span[0] = 0x99;
            Assert.Equal(0x99, connection.Bar(2).Read8(0x5000));
            Assert.Equal(0x99, pair.Device.SparseHigh.Slice(0x1000, 1)[0]);
        }

        connection.Config.Write16(4, 0x0406);
        using InterruptSet msix = connection.EnableInterrupts(PciInterrupt.Msix, 300);
        for (int i = 0; i < 300; i += 23)
        {
            Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(i));
            Assert.True(msix[i].Wait(Patience));
        }

        using DmaBuffer memory = connection.AllocateDma(2 << 20);
        new Random(99).NextBytes(memory.Span);
        Dma(connection, memory.Iova, 2 << 20, ControlBlock.ReadInWork);
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(memory.Span, pair.Device.DmaBytes.AsSpan(0, 2 << 20));
        pair.Device.DmaBytes.AsSpan(0, 2 << 20).Reverse();
        Dma(connection, memory.Iova, 2 << 20, ControlBlock.WriteInWork);
        WaitFor(() => pair.Device.DmaDone == 2);
        Assert.Equal(pair.Device.DmaBytes.AsSpan(0, 2 << 20), memory.Span);

        byte[] big = new byte[ConformanceDevice.BigBar];
        new Random(100).NextBytes(big);
        connection.Bar(1).Write(0, big);
        byte[] back = new byte[big.Length];
        connection.Bar(1).Read(0, back);
        Assert.Equal(big, back);

        connection.Reset();
        Assert.Contains(ResetKind.DeviceReset, pair.Device.Resets);
    }

    [Fact]
    public void Case100_doorbells_by_eventfd_and_by_mapping()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using VfioUserConnection connection = pair.Connect();
        Assert.Equal(Errno.None, connection.TryGetDoorbells(PciRegion.Bar0, out DoorbellSet? doorbells));
        using (doorbells)
        {
            Assert.Equal([(0x2000UL, 4u, null), (0x2008UL, 8u, 7UL)], doorbells!.Select(static bell => (bell.Offset, bell.Size, bell.DataMatch)));
            Assert.Equal(Errno.None, doorbells!.Ring(0));
            WaitFor(() => pair.Device.Rings == 1);
            Assert.Equal(Errno.None, doorbells.Ring(1));
            WaitFor(() => pair.Device.Rings == 2);
        }

        Assert.Equal(Errno.None, connection.TryGetDoorbells(PciRegion.Bar1, out DoorbellSet? none));
        Assert.Empty(none!);
        Assert.Equal(Errno.EINVAL, connection.TryGetDoorbells(PciRegion.Bar5, out _));
    }

    [Fact]
    public void Case100_migration_and_dirty_log_by_our_client()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using VfioUserConnection connection = pair.Connect(new VfioUserClientOptions { MaximumDataTransferSize = 4096 });
        byte[] state = new byte[10_000];
        new Random(3).NextBytes(state);
        pair.Device.TestMigration.State = state;
        Assert.Equal(Errno.None, connection.TryGetMigrationFlags(out MigrationFlags flags));
        Assert.Equal(MigrationFlags.StopCopy | MigrationFlags.PreCopy, flags);
        Assert.Equal(Errno.None, connection.TrySetMigrationState(MigrationState.StopCopy));
        Assert.Equal(Errno.None, connection.TryGetMigrationState(out MigrationState now));
        Assert.Equal(MigrationState.StopCopy, now);
        byte[] data = new byte[20_000];
        Assert.Equal(state.Length, connection.TryReadMigrationData(data).Value);
        Assert.Equal(state, data[..state.Length]);
        Assert.Equal(0, connection.TryReadMigrationData(data).Value);
        Assert.Equal(Errno.None, connection.TrySetMigrationState(MigrationState.Resuming));
        Assert.Equal(state.Length, connection.TryWriteMigrationData(state).Value);
        Assert.Equal(state, pair.Device.TestMigration.Received);
        Assert.Equal(Errno.None, connection.TrySetMigrationState(MigrationState.Running));

        ulong pageSize = Page;
        Assert.True(IovaRange.TryCreate(0, 1UL << 30, out IovaRange range));
        Assert.Equal(Errno.None, connection.TryStartDirtyLog([range], ref pageSize));
        ulong[] pages = [0, 63, 64, 32_300, 32_256, 262_143];
        foreach (ulong page in pages)
        {
            pair.Device.TestDirtyLog.Mark(page * Page, 1);
        }

        // 32 KiB of bitmap through messages of 4 KiB.
        ulong[] bitmap = new ulong[4096];
        Assert.Equal(Errno.None, connection.TryReadDirtyLog(range, Page, bitmap));
        List<ulong> dirty = [];
        for (ulong i = 0; i < 262_144; i++)
        {
            if ((bitmap[i / 64] & (1UL << (int)(i % 64))) != 0)
            {
                dirty.Add(i);
            }
        }

        Assert.Equal(pages.Order(), dirty);
        Assert.Equal(Errno.None, connection.TryStopDirtyLog());
        Assert.Equal(Errno.EINVAL, connection.TryReadDirtyLog(range, Page, bitmap));
    }

    private static void Dma(VfioUserConnection connection, ulong address, int length, uint command)
    {
        connection.Bar(0).Write64(ControlBlock.DmaAddress, address);
        connection.Bar(0).Write32(ControlBlock.DmaLength, (uint)length);
        connection.Bar(0).Write32(ControlBlock.DmaCommand, command);
    }
}
