using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Messages that are nearly right, in great number: every one is answered or ends the connection, and nothing is left behind (spec vfio-user §6).</summary>
public sealed class MutationCases : ConformanceTest
{
    public static TheoryData<int> Seeds => [.. ModelRun.Seeds(4)];

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
                    byte[] message = Mutation.Apply(random, SoundMessages.Next(random, (ushort)random.Next(0xA000)));
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
}
