using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Siege;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Clients that die, at any point: the device is closed as it is for any other end, the next client finds it fresh, and nothing is left behind.</summary>
public sealed class DeathCases : ConformanceTest
{
    private const ulong Page = 4096;
    private const uint Msix = 2;

    /// <summary>Eight acts: a thousand deaths in the long mode.</summary>
    private static readonly int s_deaths = ModelRun.IsLong ? 125 : 3;

    public static TheoryData<ClientAct> Acts => [.. Enum.GetValues<ClientAct>()];

    [Theory]
    [MemberData(nameof(Acts))]
    public void Threat39_client_that_is_killed_leaves_nothing(ClientAct act)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        pair.Device.TestMigration.State = new byte[1 << 20];
        Random random = new((int)act);
        Resources before = default;
        for (int i = 0; i <= s_deaths; i++)
        {
            using (SiegeProgram client = SiegeProgram.Start("client", act.ToString(), pair.SocketPath))
            {
                Assert.True(client.WaitUntilReady());
                Thread.Sleep(random.Next(20));
                client.Kill();
            }

            AssertFresh(pair);

            // What is made once, such as threads that stay for a while, is there after the first.
            Resources now = Resources.Of(pair.Device);
            before = i == 0 ? now : before;
            now.AssertNoneMoreThan(before);
        }
    }

    [Fact]
    public void Threat39_client_that_hangs_up_after_any_byte_leaves_nothing()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        pair.Device.TestMigration.State = new byte[100];
        using MemFd memory = Memory();
        using EventFd eventFd = new();
        (byte[] Bytes, FileDescriptor[] Descriptors)[] session = [.. Session(memory, eventFd)];
        int total = session.Sum(static message => message.Bytes.Length);
        Resources before = default;
        for (int cut = 0; cut <= total; cut++)
        {
            using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
            {
                int left = cut;
                foreach ((byte[] bytes, FileDescriptor[] descriptors) in session)
                {
                    int length = Math.Min(left, bytes.Length);
                    if (length == 0 || client.SendBytes(bytes.AsSpan(0, length), descriptors) != Errno.None)
                    {
                        break;
                    }

                    left -= length;
                }

                // One in three is there long enough for all of it to be done.
                if (cut % 3 == 0)
                {
                    WaitFor(() => pair.Server!.HasClient || pair.Server.LastEnd != ConnectionEnd.None);
                    _ = client.HasInput(TimeSpan.FromMilliseconds(5));
                }
            }

            if (cut % 100 == 0)
            {
                AssertFresh(pair);
                Resources now = Resources.Of(pair.Device);
                before = cut == 0 ? now : before;
                now.AssertNoneMoreThan(before);
            }
            else
            {
                WaitFor(() => !pair.Server!.HasClient);
            }
        }

        AssertFresh(pair);
    }

    /// <summary>A session of a bit of everything, its last transfer by messages that nobody answers.</summary>
    private static IEnumerable<(byte[] Bytes, FileDescriptor[] Descriptors)> Session(MemFd memory, EventFd eventFd)
    {
        ushort id = 0;
        (byte[] Bytes, FileDescriptor[] Descriptors) Message(VfioUserCommand command, byte[] payload, params FileDescriptor[] descriptors)
            => (VfioUserPeer.Compose(++id, command, VfioUserFlags.Command, payload), descriptors);
        (byte[] Bytes, FileDescriptor[] Descriptors) Write(ulong offset, uint value)
            => Message(VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(0, offset, BitConverter.GetBytes(value)));
        (byte[] Bytes, FileDescriptor[] Descriptors) State(MigrationState state) => Message(
            VfioUserCommand.DeviceFeature, SetState(state));

        yield return Message(VfioUserCommand.Version, RawVfioUserClient.VersionPayload(0, 2, "{\"capabilities\":{\"max_msg_fds\":16}}"));
        yield return Message(VfioUserCommand.DmaMap, Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, address = 0, size = Page }), memory.Descriptor);
        yield return Message(VfioUserCommand.DmaMap, Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, address = Page, size = Page }));
        yield return Message(
            VfioUserCommand.DeviceSetIrqs,
            Bytes(new vfio_irq_set { argsz = 20, flags = (uint)(IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger), index = Msix, count = 2 }),
            eventFd.Descriptor,
            eventFd.Descriptor);
        yield return State(MigrationState.StopCopy);
        yield return Message(VfioUserCommand.MigrationDataRead, Bytes(new vfio_user_mig_data { argsz = 8 + 64, size = 64 }));
        yield return State(MigrationState.Running);
        yield return Message(VfioUserCommand.DeviceReset, []);
        yield return Write(ControlBlock.DmaAddress, 0);
        yield return Write(ControlBlock.DmaLength, (uint)Page);
        yield return Write(ControlBlock.DmaCommand, ControlBlock.ReadInWork);
        yield return Message(VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, address = 0, size = Page }));
        yield return Write(ControlBlock.DmaAddress, (uint)Page);
        yield return Write(ControlBlock.DmaCommand, ControlBlock.WriteInHandler);
    }

    /// <summary>The device has been closed, and a client that comes now finds nothing of the one before.</summary>
    private static void AssertFresh(DevicePair<ConformanceDevice> pair)
    {
        WaitFor(() => !pair.Server!.HasClient);
        Assert.NotEqual(ConnectionEnd.DeviceFailed, pair.Server!.LastEnd);
        using (RawVfioUserClient next = pair.ConnectRaw())
        {
            AssertAlive(next);
            Assert.Equal(new byte[(int)ControlBlock.ScratchEnd], next.ReadRegion(0, 0, (int)ControlBlock.ScratchEnd));
            Assert.NotEqual(Errno.None, pair.Device.ReadMemory(0, new byte[1]));
            Assert.NotEqual(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
            using (VfioUserMessage state = next.Request(VfioUserCommand.DeviceFeature, Feature(2 | (1 << 16), 16, new byte[8])))
            {
                Assert.Equal((uint)MigrationState.Running, state.Read<vfio_device_feature_mig_state>(8).device_state);
            }

            // Its own memory is reached.
            using MemFd memory = Memory();
            Assert.Equal(Errno.None, next.MapDma(0, Page, memory.Descriptor));
            Assert.Equal(Errno.None, pair.Device.ReadMemory(0, new byte[64]));
        }

        WaitFor(() => !pair.Server!.HasClient);
    }

    /// <summary>What a process has that could grow.</summary>
    private readonly record struct Resources(int Descriptors, int Mappings, int Threads, long Managed)
    {
        public static Resources Of(ConformanceDevice device)
        {
            // The device keeps these for its tests.
            device.Log.Clear();
            device.Log.TrimExcess();
            device.Resets.Clear();
            device.TestMigration.Hops.Clear();
            device.TestMigration.Received.Clear();
            device.TestMigration.Received.TrimExcess();
            ProcessResources resources = ProcessResources.Capture();
            return new Resources(
                resources.Descriptors.Count, resources.Mappings.Values.Sum(), Directory.GetDirectories("/proc/self/task").Length, GC.GetTotalMemory(forceFullCollection: true));
        }

        public void AssertNoneMoreThan(Resources before)
        {
            Assert.Equal((before.Descriptors, before.Mappings), (Descriptors, Mappings));
            Assert.InRange(Threads, 1, before.Threads + 8);
            Assert.InRange(Managed, 0, before.Managed + (1 << 20));
        }
    }
}
