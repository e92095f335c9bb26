using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>Reset of a bus: vfio-core cases 156 to 158.</summary>
public sealed class HotResetTests
{
    [Fact]
    public async Task Case156_information_tells_what_would_be_reset()
    {
        await using BusRig rig = new();
        TestDevice[] devices = [.. Enumerable.Range(0, 3).Select(i => rig.Add($"d{i}", 4 + i))];
        (_, VfioDeviceFile file) = rig.OpenThroughGroup(devices[0]);
        Assert.Equal(Errno.ENOSPC, rig.Info(file, 12, out uint flags, out uint count, out _));
        Assert.Equal((0u, 3u), (flags, count));
        Assert.Equal(Errno.ENOSPC, rig.Info(file, 35, out _, out count, out _));
        Assert.Equal(3u, count);
        Assert.Equal(Errno.None, rig.Info(file, 36, out flags, out count, out List<(uint Id, ushort Segment, byte Bus, byte Function)> entries));
        Assert.Equal((0u, 3u), (flags, count));
        Assert.Equal([.. devices.Select(static (device, i) => ((uint)device.Group!.IommuGroup.Id, (ushort)1, (byte)6, (byte)((4 + i) << 3)))], entries);
        byte[] tooSmall = [11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Assert.Equal(Errno.EINVAL, file.Ioctl(VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new UserArgument(tooSmall)).Error);
        Assert.Equal(Errno.EFAULT, file.Ioctl(VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new UserArgument(tooSmall.AsSpan(0, 8))).Error);
    }

    [Fact]
    public async Task Case157_by_groups()
    {
        await using BusRig rig = new();
        TestDevice a = rig.Add("a", 1);
        TestDevice b = rig.Add("b", 2);
        (VfioGroupFile groupA, VfioDeviceFile file) = rig.OpenThroughGroup(a);
        rig.Files.Files[5] = groupA;
        rig.Files.Files[6] = rig.OpenGroup(b);
        rig.Files.Files[7] = "a pipe";
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 1, 5, 6));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0, 5, 7));
        Assert.Equal(Errno.EBADF, rig.Reset(file, 0, 5, 99));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0, 5, 6, 6));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0, 5));
        Assert.DoesNotContain(ResetKind.BusReset, a.Resets);
        Assert.Equal(Errno.None, rig.Reset(file, 0, 5, 6));
        Assert.Equal([ResetKind.BusReset, ResetKind.BusReset], new[] { a.Resets[^1], b.Resets[^1] });
    }

    [Fact]
    public async Task Case158_by_what_the_iommufd_owns()
    {
        await using BusRig rig = new();
        IommuGroup shared = rig.Host.CreateIommuGroup();
        TestDevice a = rig.Add("a", 1, shared);
        TestDevice unbound = rig.Add("b", 2, shared);
        TestDevice c = rig.Add("c", 3);
        using IommufdContext context = new();
        VfioDeviceFile file = rig.Bind("a", context);
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0, 5));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0));
        Assert.Equal(Errno.None, rig.Info(file, 36, out uint flags, out _, out List<(uint Id, ushort Segment, byte Bus, byte Function)> entries));
        Assert.Equal(VfioUapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID, flags);
        Assert.Equal([1u, VfioUapi.VFIO_PCI_DEVID_OWNED, VfioUapi.VFIO_PCI_DEVID_NOT_OWNED], entries.Select(static entry => entry.Id));

        // Another user's device is nobody else's to reset.
        using IommufdContext other = new();
        VfioDeviceFile foreign = rig.Bind("c", other);
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0));
        foreign.Dispose();
        _ = rig.Bind("c", context);
        Assert.Equal(Errno.None, rig.Info(file, 36, out flags, out _, out entries));
        Assert.Equal(VfioUapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VfioUapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED, flags);
        Assert.Equal([1u, 0u, 2u], entries.Select(static entry => entry.Id));
        Assert.Equal(Errno.None, rig.Reset(file, 0));
        Assert.All([a, unbound, c], static device => Assert.Equal(ResetKind.BusReset, device.Resets[^1]));
    }

    [Fact]
    public async Task Bus_with_a_function_that_VFIO_does_not_have_is_not_reset()
    {
        await using BusRig rig = new();
        TestDevice a = rig.Add("a", 1);
        (VfioGroupFile group, VfioDeviceFile file) = rig.OpenThroughGroup(a);
        rig.Files.Files[5] = group;
        PciFunction bridge = rig.Bus.AddForeign(0, 0, null);
        Assert.Equal("0001:06:00.0", bridge.ToString());
        Assert.Throws<ArgumentException>(() => rig.Bus.AddForeign(1, 0, null));
        Assert.Equal(Errno.EPERM, rig.Info(file, 36, out _, out _, out _));
        Assert.Equal(Errno.EINVAL, rig.Reset(file, 0, 5));
        rig.Bus.Remove(bridge);
        Assert.Equal(Errno.None, rig.Reset(file, 0, 5));
    }

    [Fact]
    public async Task Bus_that_cannot_be_reset_is_ENODEV()
    {
        await using BusRig rig = new(new PciBus { CanReset = false });
        _ = rig.Add("a", 1);
        using IommufdContext context = new();
        VfioDeviceFile file = rig.Bind("a", context);
        Assert.Equal(Errno.ENODEV, rig.Info(file, 36, out _, out _, out _));
        Assert.Equal(Errno.ENODEV, rig.Reset(file, 0));
    }

    [Fact]
    public async Task Devices_of_a_bus_are_one_set_and_a_place_is_taken_once()
    {
        await using BusRig rig = new();
        TestDevice a = rig.Add("a", 1);
        TestDevice b = rig.Add("b", 2);
        Assert.Same(a.DeviceSet, b.DeviceSet);
        VfioException error = Assert.Throws<VfioException>(() => rig.Host.Allocate(() => new TestDevice(pci => pci.Address(rig.Bus, 2))));
        Assert.Equal(Errno.EEXIST, error.Errno);
        Assert.Equal(2, rig.Bus.Functions.Count);
        Assert.Equal(2, a.DeviceSet!.DeviceCount);
    }
}
