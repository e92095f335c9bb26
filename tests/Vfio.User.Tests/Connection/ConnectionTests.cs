using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Testing;
using Vfio.TestUtilities;

namespace Vfio.User.Tests.Connection;

/// <summary>What every connection offers, whichever way the device is reached.</summary>
public sealed class ConnectionTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public static TheoryData<string> Ways => ["local", "unix"];

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Pci_names_what_configuration_space_says(string way)
    {
        await using DevicePair<NoticingDevice> pair = Make(way);
        PciFunctionConfig pci = pair.Connection.Pci;
        Assert.Equal((0x1234, 0xAB01, 7, 0x010802u), (pci.VendorId, pci.DeviceId, pci.Revision, pci.ClassCode));
        Assert.Equal((0x1AF4, 0x1101), (pci.SubsystemVendorId, pci.SubsystemId));
        Assert.Equal((8, true), (pci.Msi!.Value.Vectors, pci.Msi.Value.HasMasks));
        MsixCapability msix = pci.Msix!.Value;
        Assert.Equal((33, 2, 0x1000u, 2, 0x2000u, false), (msix.Vectors, msix.TableBar, msix.TableOffset, msix.PendingBar, msix.PendingOffset, msix.IsEnabled));
        Assert.True(pci.Express!.Value.HasFunctionReset);
        Assert.Equal(
            new HashSet<(ushort, bool)>
            {
                ((ushort)PciCapabilityId.PowerManagement, false),
                ((ushort)PciCapabilityId.Express, false),
                ((ushort)PciCapabilityId.Msi, false),
                ((ushort)PciCapabilityId.Msix, false),
                ((ushort)PciCapabilityId.VendorSpecific, false),
                ((ushort)PciExtendedCapabilityId.SerialNumber, true),
                ((ushort)PciExtendedCapabilityId.AdvancedErrorReporting, true),
            },
            pci.GetCapabilities().Select(static entry => (entry.Id, entry.IsExtended)).ToHashSet());
        int serial = pci.Find(PciExtendedCapabilityId.SerialNumber)!.Value.Offset;
        Assert.Equal(0x55667788u, pci.Region.Read32((ulong)serial + 4));
        Assert.Null(pci.Find(PciCapabilityId.PciX));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Reset_stops_bus_mastering_first(string way)
    {
        await using DevicePair<NoticingDevice> pair = Make(way);
        pair.Connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal(PciCommand.MemorySpace | PciCommand.BusMaster, pair.Connection.Pci.Command);
        pair.Device.Events.Clear();
        pair.Connection.Reset();
        Assert.Equal(["command MemorySpace", "reset"], pair.Device.Events.Take(2));
        Assert.Equal(PciCommand.None, pair.Connection.Pci.Command & PciCommand.BusMaster);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task MapDma_of_one_memory_at_several_addresses_is_the_same_memory(string way)
    {
        using DescriptorLeakGuard guard = new();
        await using DevicePair<NoticingDevice> pair = Make(way);
        VfioConnection device = pair.Connection;
        device.Pci.Enable(PciCommand.BusMaster);
        DmaMemory memory = DmaMemory.Allocate(4 * 4096);
        DmaMapping whole = device.MapDma(memory, iova: 0x10_0000);
        DmaMapping third = device.MapDma(memory, 2 * 4096, 4096, DmaAccess.Read, 0x20_0000);
        Assert.Equal((0x10_0000ul, 0x20_0000ul, 4096ul), (whole.Iova, third.Iova, third.Range.Length));

        BitConverter.TryWriteBytes(memory.Slice(2 * 4096, 8), 0x1234_5678_9ABC_DEF0);
        Assert.Equal(0x1234_5678_9ABC_DEF0u, Load(device, 0x10_2000));
        Assert.Equal(0x1234_5678_9ABC_DEF0u, Load(device, 0x20_0000));

        // For reading only: the device's write goes nowhere by the one address and arrives by the other.
        Store(device, 0x20_0000, 1);
        Assert.Equal(0x1234_5678_9ABC_DEF0u, Load(device, 0x20_0000));
        Store(device, 0x10_2000, 1);
        Assert.Equal(1u, Load(device, 0x20_0000));

        // What is unmapped is out of reach; the memory stays until its last mapping has gone.
        whole.Dispose();
        Assert.Equal(ulong.MaxValue, Load(device, 0x10_2000));
        memory.Dispose();
        Assert.Equal(1u, Load(device, 0x20_0000));
        third.Dispose();
        Assert.Equal(ulong.MaxValue, Load(device, 0x20_0000));
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task MapDma_of_parts_that_are_not_pages_is_EINVAL(string way)
    {
        await using DevicePair<NoticingDevice> pair = Make(way);
        using DmaMemory memory = DmaMemory.Allocate(8192);
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => pair.Connection.MapDma(memory, 100, 4096)).Errno);
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => pair.Connection.MapDma(memory, 0, 100)).Errno);
        Assert.Throws<ArgumentOutOfRangeException>(() => pair.Connection.MapDma(memory, 4096, 8192));
        using DmaMapping mapping = pair.Connection.MapDma(memory, iova: 0x1000);
        Assert.Equal(Errno.EEXIST, Assert.Throws<VfioException>(() => pair.Connection.MapDma(memory, iova: 0x2000)).Errno);
    }

    [Fact]
    public void Allocate_takes_huge_pages_only_where_there_are_some()
    {
        using DmaMemory memory = DmaMemory.Allocate(4 << 20, hugePages: true);
        bool some = int.Parse(File.ReadAllText("/proc/sys/vm/nr_hugepages"), System.Globalization.CultureInfo.InvariantCulture) > 2;
        Assert.Equal(some ? 2ul << 20 : 4096, memory.PageSize);
        memory.Span.Fill(1);
        using DmaMemory odd = DmaMemory.Allocate(12345, hugePages: true);
        Assert.Equal((4096ul, (nuint)16384), (odd.PageSize, odd.Length));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task ReleaseRequested_lets_an_unregistration_end(string way)
    {
        await using DevicePair<NoticingDevice> pair = Make(way);
        CancellationToken asked = pair.Connection.ReleaseRequested;
        Assert.True(asked.CanBeCanceled);
        Assert.False(asked.IsCancellationRequested);

        // The natural thing to do: let go at once, on the thread that brings the notice.
        await using CancellationTokenRegistration registration = asked.Register(pair.Connection.Dispose);
        await pair.Registration.DisposeAsync().AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.True(asked.IsCancellationRequested);
        Assert.True(pair.Connection.ConnectionClosed.IsCancellationRequested);
    }

    [Fact]
    public async Task ConnectionClosed_and_waits_end_when_the_server_goes()
    {
        await using DevicePair<NoticingDevice> pair = Make("unix");
        using InterruptSet interrupts = pair.Connection.EnableInterrupts(PciInterrupt.Msi, 2);
        ValueTask<ulong> wait = interrupts[0].WaitAsync(TestContext.Current.CancellationToken);
        Assert.False(pair.Connection.ConnectionClosed.IsCancellationRequested);
        await pair.Server!.DisposeAsync();
        VfioException exception = await Assert.ThrowsAsync<VfioException>(() => wait.AsTask().WaitAsync(s_patience));
        Assert.Equal(Errno.ENOTCONN, exception.Errno);
        Assert.True(pair.Connection.ConnectionClosed.IsCancellationRequested);
        Assert.Equal(Errno.ENOTCONN, (await Assert.ThrowsAsync<VfioException>(() => interrupts[1].WaitAsync(TestContext.Current.CancellationToken).AsTask())).Errno);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task ConnectionClosed_and_waits_end_when_it_is_disposed(string way)
    {
        await using DevicePair<NoticingDevice> pair = Make(way);
        CancellationToken closed = pair.Connection.ConnectionClosed;
        InterruptSet interrupts = pair.Connection.EnableInterrupts(PciInterrupt.Msi);
        Task<ulong> wait = interrupts[0].WaitAsync(TestContext.Current.CancellationToken).AsTask();
        pair.Connection.Dispose();
        Assert.True(closed.IsCancellationRequested);
        Assert.Equal(Errno.ENOTCONN, (await Assert.ThrowsAsync<VfioException>(() => wait.WaitAsync(s_patience))).Errno);
        interrupts.Dispose();
        _ = await Assert.ThrowsAsync<ObjectDisposedException>(() => interrupts[0].WaitAsync(TestContext.Current.CancellationToken).AsTask());
    }

    private static DevicePair<NoticingDevice> Make(string way)
        => way == "local" ? DevicePair.Local(static () => new NoticingDevice()) : DevicePair.OverSocket(static () => new NoticingDevice());

    private static ulong Load(VfioConnection device, ulong address)
    {
        device.Bar(0).Write64(0, address);
        return device.Bar(0).Read64(8);
    }

    private static void Store(VfioConnection device, ulong address, ulong value)
    {
        device.Bar(0).Write64(0, address);
        device.Bar(0).Write64(8, value);
    }
}
