using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Client;

/// <summary>A served device that another host offers.</summary>
public sealed class VfioUserDeviceTests : IAsyncDisposable
{
    private const IrqSetFlags Trigger = IrqSetFlags.ActionTrigger;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private readonly DescriptorLeakGuard _guard = new();
    private readonly DevicePair<ConformanceDevice> _served = DevicePair.Serve(() => new ConformanceDevice());

    public async ValueTask DisposeAsync()
    {
        await _served.DisposeAsync();
        _guard.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Device_answers_as_the_served_one_does(bool twin)
    {
        await using DevicePair<VfioUserDevice> relay = Relay(twin);
        VfioConnection device = relay.Connection;
        Assert.Equal(DeviceFlags.Pci | DeviceFlags.Reset, device.Info.Flags);
        Assert.Equal(0x5678_1234u, device.Config.Read32(0));
        device.Bar(0).Write64(8, 0x1122_3344_5566_7788);
        Assert.Equal(0x5566_7788u, device.Bar(0).Read32(8));
        device.Bar(1).Write32(ConformanceDevice.BigBar - 4, 77);
        Assert.Equal(77u, device.Bar(1).Read32(ConformanceDevice.BigBar - 4));
        device.Reset();
        Assert.NotEmpty(_served.Device.Resets);

        // Beyond the end, and no region at all.
        Assert.Equal(Errno.EINVAL, device.TryRead(0, 0x10000, new byte[4]));
        Assert.Equal(Errno.EINVAL, device.TryRead(5, 0, new byte[4]));
    }

    [Fact]
    public async Task Mappable_areas_are_the_servers_own_memory()
    {
        await using DevicePair<VfioUserDevice> relay = Relay();
        RegionDescription bar = relay.Connection.Regions[2];
        Assert.Equal([new SparseArea(0x1000, 0x1000), new SparseArea(0x4000, 0x2000)], bar.MappableAreas);
        using MemoryMapping high = relay.Connection.Map(PciRegion.Bar2, 0x4000, 0x2000);
        high.Span[0x1234] = 0x5A;
        Assert.Equal(0x5A, _served.Device.SparseHigh.Slice(0x1234, 1)[0]);
        Assert.Equal(0x5A, relay.Connection.Bar(2).Read8(0x5234));
    }

    [Theory]
    [InlineData(true, ControlBlock.ReadInHandler)]
    [InlineData(true, ControlBlock.ReadInWork)]
    [InlineData(false, ControlBlock.ReadInWork)]
    public async Task Dma_reaches_what_the_user_has_mapped_and_nothing_else(bool twin, uint readCommand)
    {
        await using DevicePair<VfioUserDevice> relay = Relay(twin);
        VfioConnection device = relay.Connection;
        using DmaBuffer memory = device.AllocateDma(1 << 20, iova: 0x7F_0000_0000);
        Random.Shared.NextBytes(memory.Span);
        byte[] sent = memory.Span[100..300_100].ToArray();
        Assert.Equal(Errno.None, Transfer(device, memory.Iova + 100, sent.Length, readCommand));
        Assert.Equal(sent, _served.Device.DmaBytes[..sent.Length]);

        memory.Span.Clear();
        Assert.Equal(Errno.None, Transfer(device, memory.Iova + 5, sent.Length, ControlBlock.WriteInWork));
        Assert.Equal(sent, memory.Span.Slice(5, sent.Length));
        Assert.Equal(0, memory.Span[4]);

        Assert.NotEqual(Errno.None, Transfer(device, memory.Iova + (1 << 20) - 4, 8, ControlBlock.WriteInWork));
        Assert.NotEqual(Errno.None, Transfer(device, 0x1000, 8, readCommand));
        Assert.NotEqual(Errno.None, Transfer(device, 1UL << 48, 8, readCommand));
    }

    [Fact]
    public async Task Interrupts_go_straight_to_the_user()
    {
        await using DevicePair<VfioUserDevice> relay = Relay();
        Assert.Equal((uint)ConformanceDevice.Vectors, relay.Connection.Irqs[(int)PciInterrupt.Msix].Count);
        using InterruptSet msix = relay.Connection.EnableInterrupts(PciInterrupt.Msix, 40);
        relay.Connection.Bar(0).Write32(ControlBlock.SignalVector, 39);
        Assert.True(msix[39].Wait(s_patience));
        relay.Connection.Bar(0).Write32(ControlBlock.SignalVector, 0);
        Assert.True(msix[0].Wait(s_patience));
    }

    [Fact]
    public async Task Eventfds_with_gaps_are_handed_on_one_stretch_at_a_time()
    {
        await using DevicePair<VfioUserDevice> relay = Unopened();
        using EventFd first = new();
        using EventFd second = new();
        using IommufdContext context = new();
        Assert.Equal(Errno.None, relay.Host.TryOpenDevice(relay.Device.Name, out VfioDeviceFile? file));
        using (file)
        {
            Assert.Equal(Errno.None, file!.Bind(context, out _));
            TestFileTable files = new();
            files.Files[5] = first.Descriptor;
            files.Files[6] = second.Descriptor;
            files.Files[7] = context;
            Assert.Equal(0, Set(file, files, 5, -1, -1, 6).Value);
            Signal(0);
            Signal(3);
            Assert.True(IsSignalled(first) && IsSignalled(second));

            // Others stay, one is taken away.
            Assert.Equal(0, Set(file, files, -1).Value);
            Signal(0);
            Signal(3);
            Assert.True(!IsSignalled(first) && IsSignalled(second));
            Assert.Equal(Errno.EBADF, Set(file, files, 5, 8).Error);
            Assert.Equal(Errno.EINVAL, Set(file, files, 7).Error);
            Assert.Equal(Errno.EINVAL, file.SetIrqs(2, IrqSetFlags.DataEventFd | Trigger, 2048, 1, new byte[4], files).Error);

            void Signal(uint vector)
            {
                byte[] bytes = new byte[4];
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, vector);
                Assert.Equal(4, file.Write(bytes, PciLayout.Position(0, ControlBlock.SignalVector)).Count);
            }
        }
    }

    [Fact]
    public async Task Between_two_opens_others_have_the_device()
    {
        await using DevicePair<VfioUserDevice> relay = Unopened();
        for (int i = 0; i < 3; i++)
        {
            using (VfioConnection direct = _served.Connect())
            {
                direct.Bar(0).Write32(0, 5);
                Assert.Throws<VfioException>(() => LocalConnection.Open(relay.Host, relay.Device.Name));
            }

            using VfioConnection relayed = LocalConnection.Open(relay.Host, relay.Device.Name);
            Assert.Equal(0u, relayed.Bar(0).Read32(0));
        }

        // Closed, it shows what it was.
        byte[] vendor = new byte[2];
        Assert.Equal(Errno.None, relay.Device.ReadConfig(0, vendor));
        Assert.Equal([0x34, 0x12], vendor);
        Assert.Equal(Errno.EINVAL, relay.Device.ReadConfig(relay.Device.ConfigLength - 1, vendor));
    }

    [Fact]
    public async Task Server_that_goes_leaves_a_device_that_answers_errors_and_can_be_closed()
    {
        await using DevicePair<VfioUserDevice> relay = Relay();
        using DmaBuffer memory = relay.Connection.AllocateDma(4096);
        await _served.Server!.DisposeAsync();
        Assert.Equal(Errno.ENOTCONN, relay.Connection.TryRead(0, 0, new byte[4]));
        Assert.Equal(Errno.ENOTCONN, relay.Connection.TryWrite(0, 0, new byte[4]));
        byte[] vendor = new byte[2];
        Assert.Equal(Errno.None, relay.Device.ReadConfig(0, vendor));
        Assert.Equal([0x34, 0x12], vendor);
        relay.Connection.Dispose();
        Assert.Equal(Errno.ENOENT, Assert.Throws<VfioException>(() => LocalConnection.Open(relay.Host, relay.Device.Name)).Errno);
    }

    [Fact]
    public async Task Nobody_there_is_told()
    {
        await using VfioHost host = new();
        Assert.Equal(
            Errno.ENOENT, Assert.Throws<VfioException>(() => host.Allocate(() => VfioUserDevice.Create("/nobody/is/there"))).Errno);
    }

    private static bool IsSignalled(EventFd eventFd) => SpinWait.SpinUntil(() => eventFd.TryConsume(out _), TimeSpan.FromMilliseconds(300));

    private static IoResult Set(VfioDeviceFile file, FileTable files, params int[] numbers)
    {
        byte[] data = new byte[numbers.Length * sizeof(int)];
        Buffer.BlockCopy(numbers, 0, data, 0, data.Length);
        return file.SetIrqs(2, IrqSetFlags.DataEventFd | Trigger, 0, (uint)numbers.Length, data, files);
    }

    private DevicePair<VfioUserDevice> Relay(bool twin = true) => DevicePair.Local(
        () => VfioUserDevice.Create(_served.SocketPath, new VfioUserClientOptions { OfferTwinSocket = twin }));

    /// <summary>Offered, and opened by nobody yet.</summary>
    private DevicePair<VfioUserDevice> Unopened() => DevicePair.Serve(() => VfioUserDevice.Create(_served.SocketPath));

    private Errno Transfer(VfioConnection device, ulong address, int length, uint command)
    {
        int before = Volatile.Read(ref _served.Device.DmaDone);
        device.Bar(0).Write64(ControlBlock.DmaAddress, address);
        device.Bar(0).Write32(ControlBlock.DmaLength, (uint)length);
        device.Bar(0).Write32(ControlBlock.DmaCommand, command);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref _served.Device.DmaDone) != before, s_patience));
        return _served.Device.LastDmaError;
    }
}
