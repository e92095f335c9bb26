using Vfio.Abi;
using Vfio.Drivers.Edu;
using Vfio.Kernel;
using Vfio.Linux;

namespace Vfio.Guest;

/// <summary>What the kernel does for a connection, on an edu.</summary>
public sealed class KernelConnectionTests
{
    private const string HugePages = "/proc/sys/vm/nr_hugepages";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Second_user_is_told_who_has_the_device()
    {
        await using VfioConnection first = await GuestDevice.ConnectAsync();
        VfioException exception = await Assert.ThrowsAsync<VfioException>(() => GuestDevice.ConnectAsync().AsTask());
        Assert.Contains($"({Environment.ProcessId}) has /dev/vfio/", exception.Message, StringComparison.Ordinal);
        Assert.Contains("VFIO2010", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Descriptors_that_somebody_else_opened_are_used()
    {
        PciFunction function = new PciSysfs(KernelFiles.Running).Find(GuestDevice.Function)!;
        KernelConnection cdev = KernelConnection.FromCdev(Open($"/dev/vfio/devices/{function.VfioDevice}"), Open("/dev/iommu"), "given");
        await using (EduDriver driver = EduDriver.Open(cdev))
        {
            Assert.Equal(KernelPath.Cdev, cdev.Path);
            Assert.Equal(120u, await driver.ComputeFactorialAsync(5, TestContext.Current.CancellationToken));
        }

        KernelConnection group = KernelConnection.FromGroup(Open($"/dev/vfio/{function.Group}"), Open("/dev/vfio/vfio"), $"{function.Address}");
        await using (EduDriver driver = EduDriver.Open(group))
        {
            Assert.Equal(KernelPath.GroupType1, group.Path);
            using DmaBuffer buffer = driver.AllocateDma(4096);
            await driver.CopyToDeviceAsync(buffer, 4096, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Unbinding_asks_for_the_device_and_ends_when_it_is_let_go()
    {
        PciSysfs sysfs = new(KernelFiles.Running);
        VfioConnection connection = await GuestDevice.ConnectAsync();
        CancellationToken asked = connection.ReleaseRequested;
        Assert.False(asked.IsCancellationRequested);
        await using CancellationTokenRegistration registration = asked.Register(connection.Dispose);
        await Task.Run(() => sysfs.Unbind(GuestDevice.Function), TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.True(asked.IsCancellationRequested);
        sysfs.Bind(GuestDevice.Function);
        await using EduDriver next = EduDriver.Open(await GuestDevice.ConnectAsync());
        Assert.True(next.CheckLiveness());
    }

    [Fact]
    public async Task Huge_pages_are_taken_when_there_are_some_and_the_device_reaches_them()
    {
        await File.WriteAllTextAsync(HugePages, "4", TestContext.Current.CancellationToken);
        try
        {
            await using EduDriver driver = EduDriver.Open(await GuestDevice.ConnectAsync());
            using DmaBuffer huge = driver.AllocateDma(4 << 20);
            Assert.Equal(2ul << 20, huge.Memory.PageSize);
            Random.Shared.NextBytes(huge.Slice((3 << 20) + 512, 4096));
            await driver.CopyToDeviceAsync(huge.Iova + (3 << 20) + 512, 4096, TestContext.Current.CancellationToken);
            await driver.CopyFromDeviceAsync(huge.Iova, 4096, TestContext.Current.CancellationToken);
            Assert.True(huge.Slice(0, 4096).SequenceEqual(huge.Slice((3 << 20) + 512, 4096)));

            // More than there are: ordinary ones.
            using DmaBuffer more = driver.AllocateDma(8 << 20);
            Assert.Equal(4096ul, more.Memory.PageSize);
        }
        finally
        {
            await File.WriteAllTextAsync(HugePages, "0", TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Reset_leaves_memory_decoding_and_no_bus_mastering()
    {
        await using VfioConnection connection = await GuestDevice.ConnectAsync();
        if ((connection.Info.Flags & DeviceFlags.Reset) == 0)
        {
            // QEMU's own edu has no reset: it is told so.
            Assert.Contains("reset of its own", Assert.Throws<VfioException>(connection.Reset).Message, StringComparison.Ordinal);
            return;
        }

        connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
        connection.Bar(0).Write32(4, 0x1234);
        connection.Reset();
        Assert.Equal(PciCommand.MemorySpace, connection.Pci.Command & (PciCommand.MemorySpace | PciCommand.BusMaster));
        Assert.NotEqual(~0x1234u, connection.Bar(0).Read32(4));
    }

    private static FileDescriptor Open(string path)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadWrite, out FileDescriptor? descriptor));
        return descriptor!;
    }
}
