using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>The container file and its choice of an IOMMU driver (spec vfio-core §5.2, §10.4).</summary>
public sealed class ContainerTests
{
    private const uint Type = 42;

    [Fact]
    public async Task Case017_registering_an_iommu_driver_twice_is_EINVAL()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.RegisterIommuDriver(driver)).Errno);
        f.Host.UnregisterIommuDriver(driver);
        f.Host.RegisterIommuDriver(driver);
    }

    [Fact]
    public async Task Case054_064_fresh_container()
    {
        await using CoreFixture f = new();
        VfioContainer container = f.OpenContainer();
        Assert.Equal(0, container.Ioctl(VfioUapi.VFIO_GET_API_VERSION, default).Value);
        Assert.False(container.Ioctl(VfioUapi.VFIO_GET_API_VERSION, default).IsError);
        Assert.Equal(Errno.EINVAL, container.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new UserArgument(new byte[32])).Error);
        Assert.Equal(Errno.EINVAL, container.Ioctl(0x1234, default).Error);
    }

    [Fact]
    public async Task Case058_059_060_choosing_a_type()
    {
        await using CoreFixture f = new();
        f.Host.RegisterIommuDriver(new RecordingIommuDriver());
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.EINVAL, container.SetIommu(Type));
        Assert.Equal(Errno.None, f.OpenGroup(f.Add()).SetContainer(container));
        Assert.Equal(Errno.ENODEV, container.Ioctl(VfioUapi.VFIO_SET_IOMMU, new UserArgument(null, 99)).Error);
        Assert.Equal(Errno.ENODEV, container.Ioctl(VfioUapi.VFIO_SET_IOMMU, new UserArgument(null, 6)).Error);
        Assert.Equal(Errno.ENODEV, container.Ioctl(VfioUapi.VFIO_SET_IOMMU, new UserArgument(null, (1ul << 32) + Type)).Error);
        Assert.Equal(Errno.None, container.Ioctl(VfioUapi.VFIO_SET_IOMMU, new UserArgument(null, Type)).Error);
        Assert.Equal(Errno.EINVAL, container.SetIommu(Type));
    }

    [Fact]
    public async Task Case061_062_063_groups_without_iommu_have_their_driver()
    {
        await using CoreFixture f = new(noIommu: true);
        VfioContainer ordinary = f.OpenContainer();
        Assert.Equal(1, ordinary.CheckExtension(VfioUapi.VFIO_NOIOMMU_IOMMU));
        Assert.Equal(Errno.None, f.OpenGroup(f.Add()).SetContainer(ordinary));
        Assert.Equal(0, ordinary.CheckExtension(VfioUapi.VFIO_NOIOMMU_IOMMU));
        Assert.Equal(Errno.ENODEV, ordinary.SetIommu(VfioUapi.VFIO_NOIOMMU_IOMMU));

        VfioContainer bare = f.OpenContainer();
        RecordingDevice device = f.AddNoIommu();
        VfioGroupFile group = f.OpenGroup(device);
        Assert.Equal(Errno.None, group.SetContainer(bare));
        Assert.Equal(Errno.ENODEV, bare.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        f.Capabilities = CallerCapabilities.None;
        Assert.Equal(Errno.EPERM, bare.SetIommu(VfioUapi.VFIO_NOIOMMU_IOMMU));
        f.Capabilities = CallerCapabilities.All;
        Assert.Equal(Errno.None, bare.SetIommu(VfioUapi.VFIO_NOIOMMU_IOMMU));
        Assert.Equal(Errno.ENOTTY, bare.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new UserArgument(new byte[32])).Error);
        Assert.Equal(Errno.ENOTTY, bare.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO, new UserArgument(new byte[32])).Error);
        Assert.Equal(1, bare.Ioctl(VfioUapi.VFIO_CHECK_EXTENSION, new UserArgument(null, VfioUapi.VFIO_NOIOMMU_IOMMU)).Value);
        f.Capabilities = CallerCapabilities.None;
        Assert.Equal(Errno.EPERM, group.OpenDevice("n0", out _));
        f.Capabilities = CallerCapabilities.All;
        _ = f.OpenDevice(group, "n0");
        Assert.Equal(["open"], device.Calls);
    }

    [Fact]
    public async Task Case066_failing_attach_unwinds_the_groups_before_it()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        VfioContainer container = f.OpenContainer();
        VfioGroupFile first = f.OpenGroup(f.AddPhysical("a"));
        VfioGroupFile second = f.OpenGroup(f.AddPhysical("b"));
        Assert.Equal(Errno.None, first.SetContainer(container));
        Assert.Equal(Errno.None, second.SetContainer(container));
        driver.AttachResults.Enqueue(Errno.None);
        driver.AttachResults.Enqueue(Errno.EBUSY);
        Assert.Equal(Errno.EBUSY, container.SetIommu(Type));
        (string a, string b) = (first.Group.NodeName, second.Group.NodeName);
        Assert.Equal([$"open {Type}", $"attach {a}", $"attach {b}", $"detach {a}", "release"], driver.Calls);
        Assert.Null(container.Iommu);
        Assert.Equal(Errno.None, container.SetIommu(Type));
    }

    [Fact]
    public async Task Case067_last_group_takes_the_type_with_it()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver driver = new();
        f.Host.RegisterIommuDriver(driver);
        VfioContainer container = f.OpenContainer();
        VfioGroupFile group = f.OpenGroup(f.Add());
        Assert.Equal(Errno.None, group.SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        Assert.Equal(Errno.None, group.UnsetContainer());
        Assert.Equal(Errno.EINVAL, container.SetIommu(Type));
        Assert.Equal(Errno.None, group.SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        Assert.Equal(2, driver.Calls.Count(static call => call.StartsWith("open", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Case067_a_type_that_is_set_again_begins_empty()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, Type1Rig.Page));
        rig.File.Dispose();
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(Errno.EINVAL, rig.Container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        Assert.Equal(Errno.None, rig.Group.SetContainer(rig.Container));
        Assert.Equal(Errno.None, rig.Container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        Assert.Equal(0, ((Type1Iommu)rig.Container.Iommu!).MappingCount);
    }

    [Fact]
    public async Task Drivers_are_tried_until_one_takes_the_groups()
    {
        await using CoreFixture f = new();
        RecordingIommuDriver second = new();
        RecordingIommuDriver first = new() { OpenResult = Errno.ENOMEM };
        f.Host.RegisterIommuDriver(second);
        f.Host.RegisterIommuDriver(first);
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, f.OpenGroup(f.Add()).SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(Type));
        Assert.Equal([$"open {Type}"], first.Calls);
        Assert.Equal(2, second.Calls.Count);
    }
}
