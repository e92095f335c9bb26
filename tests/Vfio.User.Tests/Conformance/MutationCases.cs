using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Messages that are nearly right, in great number: every one is answered or ends the connection, and nothing is left behind (spec vfio-user §6).</summary>
public sealed class MutationCases : ConformanceTest
{
    public static TheoryData<int> Seeds => Mutation.Seeds(4);

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Mutated_messages_are_answered_or_end_the_connection(int seed)
    {
        const int Connections = 40;
        const int Batches = 10;
        const int Batch = 10;
        Random random = new(seed);
        using MemFd memory = Memory();
        using EventFd eventFd = new();
        using FileDescriptor null0 = Open("/dev/null");
        FileDescriptor[] descriptors = [memory.Descriptor, eventFd.Descriptor, null0];
        DevicePair<ConformanceDevice> pair = Serve(
            new VfioUserServerOptions { MessageTimeout = TimeSpan.FromMilliseconds(50), MaximumDmaMaps = 64 },
            static () => new ConformanceDevice(static pci => pci.Intx()
                .Bar(1, new RamBlock(0x10000))
                .Bar(2, 0x4000, PciBarKind.Memory32, true, static bar => bar.Memory(0x1000, new BarMemory("shared", 0x1000)))
                .Msix(64, 4)
                .Vendor([1, 2, 3, 4], [0xFF, 0xFF, 0xFF, 0xFF])
                .Doorbell(1, 0x100, 4, static _ => { })));
        long before = GC.GetTotalMemory(forceFullCollection: true);
        int ends = 0;
        for (int i = 0; i < Connections; i++)
        {
            using RawVfioUserClient client = pair.ConnectRaw(random.Next(2) == 0 ? TwinCapabilities : RawVfioUserClient.QemuCapabilities);
            bool alive = true;
            for (int batch = 0; batch < Batches && alive; batch++)
            {
                for (int k = 0; k < Batch && alive; k++)
                {
                    byte[] message = Mutation.Apply(random, Sound(random));
                    FileDescriptor[] sent = [.. Enumerable.Range(0, random.Next(3) == 0 ? random.Next(1, 5) : 0).Select(_ => descriptors[random.Next(descriptors.Length)])];
                    alive = client.SendBytes(message, sent) == Errno.None;
                }

                alive = alive && Answers(client, (ushort)(0xA000 + batch));
            }

            ends += alive ? 0 : 1;
            client.Socket.Shutdown();
            WaitFor(() => !pair.Server!.HasClient);
            Assert.NotEqual(ConnectionEnd.DeviceFailed, pair.Server!.LastEnd);
        }

        // Neither extreme would have tested much.
        Assert.InRange(ends, 1, Connections - 1);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 64 << 20);
        using RawVfioUserClient last = pair.ConnectRaw();
        AssertAlive(last);
    }

    private static FileDescriptor Open(string path)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadWrite, out FileDescriptor? descriptor));
        return descriptor!;
    }

    /// <summary>Whether a sound request is answered. The end of the stream is a no; silence is a failure.</summary>
    private static bool Answers(RawVfioUserClient client, ushort id)
    {
        if (client.SendBytes(VfioUserPeer.Compose(id, VfioUserCommand.DeviceGetInfo, 0, Bytes(new vfio_user_device_info { argsz = 16 }))) != Errno.None)
        {
            return false;
        }

        while (client.Receive() is { } reply)
        {
            using (reply)
            {
                if (reply.Header.msg_id == id && reply.Header.cmd == (ushort)VfioUserCommand.DeviceGetInfo)
                {
                    return true;
                }
            }
        }

        return false;
    }

    private static byte[] Sound(Random random)
    {
        const uint Get = VfioUapi.VFIO_DEVICE_FEATURE_GET;
        const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;
        uint index = (uint)random.Next(9);
        uint count = (uint)random.Next(1, 64);
        ulong address = (ulong)random.Next(64) * 0x1000;
        (VfioUserCommand command, byte[] payload) = random.Next(15) switch
        {
            0 => (VfioUserCommand.DmaMap, Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, address = address, size = 0x1000 })),
            1 => (VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, address = address, size = 0x1000 })),
            2 => (VfioUserCommand.DeviceGetInfo, Bytes(new vfio_user_device_info { argsz = 16 })),
            3 => (VfioUserCommand.DeviceGetRegionInfo, Bytes(new vfio_region_info { argsz = 4096, index = index })),
            4 => (VfioUserCommand.DeviceGetRegionIoFds, Bytes(new vfio_user_region_io_fds { argsz = 4096, index = index })),
            5 => (VfioUserCommand.DeviceGetIrqInfo, Bytes(new vfio_irq_info { argsz = 16, index = index % 5 })),
            6 => (VfioUserCommand.DeviceSetIrqs, Bytes(new vfio_irq_set { argsz = 20, flags = (1u << random.Next(3)) | (8u << random.Next(3)), index = index % 5, start = count, count = 1 })),
            7 => (VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { region = index, offset = address & 0xFFFF, count = count })),
            8 => (VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(index, address & 0xFFFF, new byte[count])),
            9 => (VfioUserCommand.RegionWriteMulti, Join(BitConverter.GetBytes(1UL), Bytes(new vfio_user_region_access { region = index, count = 4 }), new byte[8])),
            10 => (VfioUserCommand.DeviceReset, []),
            11 => (VfioUserCommand.DeviceFeature, Feature(2 | Set, 16, Bytes(new vfio_device_feature_mig_state { device_state = (uint)random.Next(8), data_fd = -1 }))),
            12 => (VfioUserCommand.DeviceFeature, Feature(random.Next(2) == 0 ? 6 | Set : 8 | Get, 64, Bytes(new vfio_user_dma_logging_report { length = 0x10000, page_size = 4096 }))),
            13 => (VfioUserCommand.MigrationDataRead, Bytes(new vfio_user_mig_data { argsz = 8 + count, size = count })),
            _ => (VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 8 + count, size = count }), new byte[count])),
        };
        return VfioUserPeer.Compose((ushort)random.Next(0xA000), command, random.Next(8) == 0 ? VfioUserFlags.NoReply : 0, payload);
    }
}
