using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>The group's node: open, status, container, unregistration under an open file (spec vfio-core §5.3, §10.2, §10.3).</summary>
public sealed class GroupFileTests
{
    private const uint Type = 42;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case030_zombie_group_refuses_everything()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        VfioGroupFile group = f.OpenGroup(device);
        await registration.UnregisterAsync(Token);
        Assert.Equal(Errno.ENODEV, group.GetStatus(out _));
        Assert.Equal(Errno.ENODEV, group.SetContainer(f.OpenContainer()));
        Assert.Equal(Errno.ENODEV, group.SetContainer(f.OpenIommufd()));
        Assert.Equal(Errno.EINVAL, group.UnsetContainer());
        Assert.Equal(Errno.ENODEV, group.OpenDevice("d0", out _));
    }

    [Fact]
    public async Task Case030_zombie_group_lets_its_iommufd_go()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.SetContainer(f.OpenIommufd()));
        await registration.UnregisterAsync(Token);
        Assert.Equal(Errno.EINVAL, group.SetContainer(f.OpenContainer()));
        Assert.Equal(Errno.None, group.UnsetContainer());
    }

    [Fact]
    public async Task Case031_unregistration_takes_the_group_out_of_its_container()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        VfioContainer container = f.OpenContainer();
        string node = device.Group!.NodeName;
        Assert.Equal(Errno.None, f.OpenGroup(device).SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        await registration.UnregisterAsync(Token);
        Assert.Equal([$"open {Type}", $"attach {node}", $"detach {node}", "release"], driver.Calls);
        Assert.Equal(Errno.EINVAL, container.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new UserArgument(new byte[32])).Error);
        Assert.Equal(Errno.EINVAL, container.SetIommu(Type));
    }

    [Fact]
    public async Task Case031_mappings_of_the_container_go_with_the_group()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, f.OpenGroup(device).SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        Type1Iommu iommu = (Type1Iommu)container.Iommu!;
        TestUserMemory memory = new(0x1000);
        Assert.Equal(Errno.None, iommu.Map(Type1MapFlags.Read, memory, TestUserMemory.Base, 0, 0x1000));
        await registration.UnregisterAsync(Token);
        Assert.Equal(0, iommu.MappingCount);
        Assert.Equal(Errno.EINVAL, container.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new UserArgument(new byte[32])).Error);
        Assert.Equal(Errno.EINVAL, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
    }

    [Fact]
    public async Task Case032_a_new_group_of_the_same_number_has_nothing_to_do_with_the_zombie()
    {
        await using CoreFixture f = new();
        IommuGroup iommuGroup = f.Host.CreateIommuGroup();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterGroupDevice(device, new DeviceParent("a") { IommuGroup = iommuGroup });
        VfioGroupFile old = f.OpenGroup(device);
        Assert.Equal(Errno.None, old.SetContainer(f.OpenContainer()));
        await registration.UnregisterAsync(Token);
        RecordingDevice next = f.AddPhysical("b", iommuGroup);
        VfioGroupFile file = f.OpenGroup(next);
        Assert.NotSame(old.Group, file.Group);
        Assert.Equal(Errno.None, file.GetStatus(out VfioGroupStatus status));
        Assert.Equal(VfioGroupStatus.Viable, status);
        Assert.Equal(Errno.ENODEV, old.GetStatus(out _));
    }

    [Fact]
    public async Task Case034_one_open_file_a_group()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioGroupFile first = f.OpenGroup(device);
        Assert.Equal(Errno.EBUSY, f.Host.TryOpenGroup(device.Group!.NodeName, out _));
        first.Dispose();
        _ = f.OpenGroup(device);
        Assert.Equal(Errno.ENODEV, f.Host.TryOpenGroup("999", out _));
        Assert.Equal(Errno.ENOENT, f.Host.Open("/dev/null", out _));
    }

    [Fact]
    public async Task Case035_noiommu_group_needs_a_privilege()
    {
        await using CoreFixture f = new(CallerCapabilities.None, noIommu: true);
        RecordingDevice device = f.AddNoIommu();
        Assert.Equal(Errno.EPERM, f.Host.Open($"/dev/vfio/{device.Group!.NodeName}", out _));
        f.Capabilities = CallerCapabilities.RawIo;
        Assert.StartsWith("noiommu-", f.OpenGroup(device).Group.NodeName, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Case036_037_089_group_node_and_bound_device_files_exclude_each_other()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioDeviceFile bound = f.OpenBound();
        Assert.Equal(Errno.EBUSY, f.Host.TryOpenGroup(device.Group!.NodeName, out _));
        bound.Dispose();
        VfioDeviceFile unbound = f.Open();
        VfioGroupFile group = f.OpenGroup(device);
        using IommufdContext context = new();
        Assert.Equal(Errno.EBUSY, unbound.Bind(context, out _));
        group.Dispose();
        Assert.Equal(Errno.None, unbound.Bind(context, out _));
    }

    [Theory]
    [InlineData(7, Errno.EINVAL)]
    [InlineData(8, Errno.None)]
    [InlineData(4096, Errno.None)]
    public async Task Case038_status_sizes(int argsz, Errno expected)
    {
        await using CoreFixture f = new();
        byte[] argument = new byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(argument, argsz);
        Assert.Equal(expected, f.OpenGroup(f.Add()).Ioctl(VfioUapi.VFIO_GROUP_GET_STATUS, new UserArgument(argument)).Error);
        Assert.Equal(expected == Errno.None ? 1 : 0, argument[4]);
    }

    [Fact]
    public async Task Case039_group_of_a_host_driver_is_not_viable()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.AddPhysical();
        object hostDriver = new();
        Assert.Equal(Errno.None, device.Group!.IommuGroup.ClaimDma(hostDriver));
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.GetStatus(out VfioGroupStatus status));
        Assert.Equal(VfioGroupStatus.None, status);
        Assert.Equal(Errno.EPERM, group.SetContainer(f.OpenContainer()));
        device.Group.IommuGroup.ReleaseDma(hostDriver);
        Assert.Equal(Errno.None, group.SetContainer(f.OpenContainer()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Case040_042_status_and_second_container(bool iommufd)
    {
        await using CoreFixture f = new();
        VfioGroupFile group = f.OpenGroup(f.AddPhysical());
        Assert.Equal(Errno.None, iommufd ? group.SetContainer(f.OpenIommufd()) : group.SetContainer(f.OpenContainer()));
        Assert.Equal(Errno.None, group.GetStatus(out VfioGroupStatus status));
        Assert.Equal(VfioGroupStatus.Viable | VfioGroupStatus.ContainerSet, status);
        Assert.Equal(Errno.EINVAL, group.SetContainer(f.OpenContainer()));
        Assert.Equal(Errno.EINVAL, group.SetContainer(f.OpenIommufd()));
    }

    [Fact]
    public async Task Case041_052_wrong_descriptors_and_commands()
    {
        await using CoreFixture f = new();
        VfioGroupFile group = f.OpenGroup(f.Add());
        TestFileTable files = new();
        files.Files.Add(5, new object());
        files.Files.Add(6, f.OpenContainer());
        Assert.Equal(Errno.EFAULT, group.Ioctl(VfioUapi.VFIO_GROUP_SET_CONTAINER, new UserArgument(new byte[3], files)).Error);
        Assert.Equal(Errno.EBADF, group.Ioctl(VfioUapi.VFIO_GROUP_SET_CONTAINER, new UserArgument([4, 0, 0, 0], files)).Error);
        Assert.Equal(Errno.EBADFD, group.Ioctl(VfioUapi.VFIO_GROUP_SET_CONTAINER, new UserArgument([5, 0, 0, 0], files)).Error);
        Assert.Equal(Errno.None, group.Ioctl(VfioUapi.VFIO_GROUP_SET_CONTAINER, new UserArgument([6, 0, 0, 0], files)).Error);
        Assert.Equal(Errno.None, group.Ioctl(VfioUapi.VFIO_GROUP_UNSET_CONTAINER, default).Error);
        Assert.Equal(Errno.ENOTTY, group.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, default).Error);
    }

    [Fact]
    public async Task Case043_044_groups_with_and_without_iommu_do_not_mix()
    {
        await using CoreFixture f = new(noIommu: true);
        VfioGroupFile ordinary = f.OpenGroup(f.AddPhysical());
        VfioGroupFile bare = f.OpenGroup(f.AddNoIommu());
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, bare.SetContainer(container));
        Assert.Equal(Errno.EPERM, ordinary.SetContainer(container));
        Assert.Equal(Errno.None, bare.UnsetContainer());
        Assert.Equal(Errno.None, ordinary.SetContainer(container));
        Assert.Equal(Errno.EPERM, bare.SetContainer(container));
        f.Capabilities = CallerCapabilities.None;
        Assert.Equal(Errno.EPERM, bare.SetContainer(f.OpenContainer()));
    }

    [Fact]
    public async Task Case045_failing_attach_gives_the_ownership_back()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, f.OpenGroup(f.AddPhysical("a")).SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        driver.AttachResults.Enqueue(Errno.EINVAL);
        VfioGroupFile second = f.OpenGroup(f.AddPhysical("b"));
        Assert.Equal(Errno.EINVAL, second.SetContainer(container));
        Assert.Equal(Errno.None, second.GetStatus(out VfioGroupStatus status));
        Assert.Equal(VfioGroupStatus.Viable, status);
        Assert.False(second.Group.IommuGroup.IsDmaOwned);
    }

    [Fact]
    public async Task Case046_047_048_leaving_the_container()
    {
        await using CoreFixture f = new();
        f.Host.RegisterIommuDriver(new RecordingIommuDriver());
        RecordingDevice device = f.Add();
        Assert.Equal(Errno.EINVAL, f.OpenGroup(f.Add("other")).UnsetContainer());
        (_, VfioGroupFile group, VfioDeviceFile first) = f.OpenThroughContainer(device, Type);
        Assert.Equal(Errno.EBUSY, group.UnsetContainer());
        VfioDeviceFile second = f.OpenDevice(group, "d0");
        first.Dispose();
        Assert.Equal(Errno.EBUSY, group.UnsetContainer());
        second.Dispose();
        Assert.Equal(Errno.None, group.UnsetContainer());
    }

    [Fact]
    public async Task Case049_iommufd_leaves_though_a_device_is_open()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.SetContainer(f.OpenIommufd()));
        VfioDeviceFile file = f.OpenDevice(group, "d0");
        Assert.Equal(Errno.None, group.UnsetContainer());
        Assert.Equal(Errno.EINVAL, group.OpenDevice("d0", out _));
        Assert.Equal(Errno.ENOTTY, file.Reset());
    }

    [Fact]
    public async Task Quirk3_last_close_takes_down_the_side_that_was_opened()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        RecordingDevice device = f.Add();
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.SetContainer(f.OpenIommufd()));
        VfioDeviceFile first = f.OpenDevice(group, "d0");
        Assert.Equal(Errno.None, group.UnsetContainer());
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, group.SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        VfioDeviceFile second = f.OpenDevice(group, "d0");
        device.Forget();
        first.Dispose();
        Assert.Empty(device.Calls);
        second.Dispose();
        Assert.Equal(["close", "unbind"], device.Calls);
        Assert.Equal(Errno.None, group.UnsetContainer());
    }

    [Fact]
    public async Task Case050_device_open_through_a_container_keeps_the_group_file()
    {
        await using CoreFixture f = new();
        f.Host.RegisterIommuDriver(new RecordingIommuDriver());
        RecordingDevice device = f.Add();
        (VfioContainer container, VfioGroupFile group, VfioDeviceFile file) = f.OpenThroughContainer(device, Type);
        group.Dispose();
        Assert.Equal(Errno.EBADF, group.OpenDevice("d0", out _));
        Assert.Equal(Errno.EBUSY, f.Host.TryOpenGroup(device.Group!.NodeName, out _));
        Assert.Equal(1, container.GroupCount);
        file.Dispose();
        Assert.Equal(0, container.GroupCount);
        _ = f.OpenGroup(device);
    }

    [Fact]
    public async Task Case051_device_open_through_an_iommufd_does_not()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.SetContainer(f.OpenIommufd()));
        VfioDeviceFile file = f.OpenDevice(group, "d0");
        group.Dispose();
        VfioGroupFile again = f.OpenGroup(device);
        again.Dispose();
        Assert.Equal(Errno.ENOTTY, file.Reset());
    }

    [Fact]
    public async Task Case252_group_open_against_bind_one_side_wins()
    {
        const int Rounds = 10_000;
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        string node = device.Group!.NodeName;
        using IommufdContext context = new();
        using Barrier barrier = new(2);
        int groups = 0;
        int binds = 0;
        bool[] opened = new bool[Rounds];
        Task other = OwnThread.Run(
            () =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    barrier.SignalAndWait(Token);
                    Errno error = f.Host.TryOpenGroup(node, out VfioGroupFile? group);
                    opened[i] = error == Errno.None;
                    barrier.SignalAndWait(Token);
                    group?.Dispose();
                    barrier.SignalAndWait(Token);
                }
            });
        for (int i = 0; i < Rounds; i++)
        {
            VfioDeviceFile file = f.Open();
            barrier.SignalAndWait(Token);
            bool bound = file.Bind(context, out _) == Errno.None;
            barrier.SignalAndWait(Token);
            Assert.True(bound != opened[i], $"round {i}: bound {bound}, group {opened[i]}");
            binds += bound ? 1 : 0;
            groups += opened[i] ? 1 : 0;
            file.Dispose();
            barrier.SignalAndWait(Token);
        }

        await other;
        Assert.Equal(Rounds, binds + groups);
    }
}
