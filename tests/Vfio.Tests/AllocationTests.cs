using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Allocation, registration and sets (spec vfio-core §10.1).</summary>
public sealed class AllocationTests
{
    [Fact]
    public async Task Case001_failing_init_frees_the_index_and_does_not_release()
    {
        await using CoreFixture f = new();
        RecordingDevice? failed = null;
        VfioException exception = Assert.Throws<VfioException>(() => f.Host.Allocate(() => failed = new RecordingDevice { InitializeResult = Errno.ENOMEM }));
        Assert.Equal(Errno.ENOMEM, exception.Errno);
        Assert.Equal(["init"], failed!.Calls);
        Assert.Equal(0, f.Host.Allocate(static () => new RecordingDevice()).Index);
    }

    [Fact]
    public async Task Case002_lowest_free_index_is_taken()
    {
        await using CoreFixture f = new();
        RecordingDevice[] devices = [.. Enumerable.Range(0, 3).Select(_ => f.Host.Allocate(static () => new RecordingDevice()))];
        devices[1].Put();
        Assert.Equal(1, f.Host.Allocate(static () => new RecordingDevice()).Index);
    }

    [Fact]
    public async Task Case003_put_without_registration_only_inits_and_releases()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        device.Get();
        device.Put();
        Assert.Equal(["init"], device.Calls);
        device.Put();
        Assert.Equal(["init", "release"], device.Calls);
        Assert.Throws<InvalidOperationException>(device.Put);
    }

    [Fact]
    public async Task Case004_factory_that_makes_no_device_of_its_own_is_EINVAL_and_nothing_is_initialized()
    {
        await using CoreFixture f = new();
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.Allocate<RecordingDevice>(static () => null!)).Errno);
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        Assert.Equal(0, device.Index);
        device.Forget();
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.Allocate(() => device)).Errno);
        Assert.Empty(device.Calls);
        Assert.Equal(0, device.Index);
        Assert.Equal(1, f.Host.Allocate(static () => new RecordingDevice()).Index);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Case005_the_four_iommufd_operations_are_there_in_every_device(bool physical)
    {
        await using CoreFixture f = new();
        PlainDevice device = f.Host.Allocate(static () => new PlainDevice());
        _ = physical
            ? f.Host.RegisterGroupDevice(device, new DeviceParent("d0") { IommuGroup = f.Host.CreateIommuGroup() })
            : f.Host.RegisterEmulatedIommuDevice(device, "d0");
        using IommufdContext context = new();
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        VfioDeviceFile file = f.Open();
        Assert.Equal(Errno.None, file.Bind(context, out uint id));
        Assert.NotEqual(0u, id);
        uint target = ioas!.Id;
        Assert.Equal(Errno.None, file.Attach(ref target));
        Assert.True(device.Dma.IsAttached);
        Assert.Equal(Errno.None, file.Detach());
        Assert.False(device.Dma.IsAttached);
        file.Dispose();
        Assert.Equal(1, context.ObjectCount);
    }

    [Fact]
    public async Task Case006_group_device_without_iommu_group_is_EINVAL()
    {
        await using CoreFixture f = new();
        PlainDevice device = f.Host.Allocate(static () => new PlainDevice());
        VfioException exception = Assert.Throws<VfioException>(() => f.Host.RegisterGroupDevice(device, new DeviceParent("p")));
        Assert.Equal(Errno.EINVAL, exception.Errno);
        Assert.Empty(f.Host.Groups);
    }

    [Fact]
    public async Task Case007_unsafe_noiommu_makes_a_noiommu_group()
    {
        using LogRecorder log = new();
        await using CoreFixture f = new(noIommu: true, options: options => options with { LoggerFactory = log });
        PlainDevice device = f.Host.Allocate(static () => new PlainDevice());
        _ = f.Host.RegisterGroupDevice(device, new DeviceParent("p"));
        Assert.Equal([1001], log.Events);
        Assert.Equal($"noiommu-{device.Group!.IommuGroup.Id}", device.Group.NodeName);
        Assert.Equal("vfio-noiommu", device.Group.IommuGroup.Name);
        Assert.Equal($"noiommu-vfio{device.Index}", device.NodeName);
    }

    [Fact]
    public async Task Case008_010_emulated_device_needs_no_group_and_no_coherency()
    {
        using LogRecorder log = new();
        await using CoreFixture f = new(options: options => options with { LoggerFactory = log });
        PlainDevice device = f.Host.Allocate(static () => new PlainDevice());
        _ = f.Host.RegisterEmulatedIommuDevice(device, new DeviceParent("p") { IsCacheCoherent = false });
        Assert.Empty(log.Events);
        Assert.Equal($"{device.Group!.IommuGroup.Id}", device.Group.NodeName);
        Assert.Equal(VfioGroupType.EmulatedIommu, device.Group.Type);
    }

    [Fact]
    public async Task Case009_incoherent_group_device_is_EINVAL_and_its_group_is_gone()
    {
        await using CoreFixture f = new();
        PlainDevice device = f.Host.Allocate(static () => new PlainDevice());
        DeviceParent parent = new("p") { IommuGroup = f.Host.CreateIommuGroup(), IsCacheCoherent = false };
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.RegisterGroupDevice(device, parent)).Errno);
        Assert.Empty(f.Host.Groups);
        Assert.Empty(f.Host.Devices);
    }

    [Fact]
    public async Task Case011_one_group_for_two_parents_until_the_second_goes()
    {
        await using CoreFixture f = new();
        IommuGroup group = f.Host.CreateIommuGroup();
        VfioRegistration[] registrations = [.. new[] { "a", "b" }.Select(name => f.Host.RegisterGroupDevice(
            f.Host.Allocate(static () => new PlainDevice()), new DeviceParent(name) { IommuGroup = group }))];
        Assert.Equal(2, Assert.Single(f.Host.Groups).DriverCount);
        await registrations[0].UnregisterAsync(TestContext.Current.CancellationToken);
        Assert.Single(f.Host.Groups);
        await registrations[1].UnregisterAsync(TestContext.Current.CancellationToken);
        Assert.Empty(f.Host.Groups);
    }

    [Fact]
    public async Task Case012_emulated_devices_have_groups_of_their_own()
    {
        await using CoreFixture f = new();
        _ = f.Add("a");
        _ = f.Add("b");
        Assert.Equal(2, f.Host.Groups.Select(static group => group.IommuGroup.Id).Distinct().Count());
    }

    [Fact]
    public async Task Case013_second_device_of_a_parent_is_EINVAL()
    {
        await using CoreFixture f = new();
        DeviceParent parent = new("p") { IommuGroup = f.Host.CreateIommuGroup() };
        _ = f.Host.RegisterGroupDevice(f.Host.Allocate(static () => new PlainDevice()), parent);
        PlainDevice second = f.Host.Allocate(static () => new PlainDevice());
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.RegisterGroupDevice(second, parent)).Errno);
        Assert.Equal(1, Assert.Single(f.Host.Groups).DriverCount);
        VfioDeviceFile file = f.OpenBound("p");
        Assert.NotSame(second, file.Device);
    }

    [Fact]
    public async Task Case014_015_016_device_sets()
    {
        await using CoreFixture f = new();
        RecordingDevice a = f.Host.Allocate(static () => new RecordingDevice());
        RecordingDevice b = f.Host.Allocate(static () => new RecordingDevice());
        RecordingDevice lone = f.Add("lone");
        Assert.Equal(Errno.EINVAL, a.AssignSet(null));
        Assert.Equal(Errno.None, a.AssignSet("bus 1"));
        Assert.Equal(Errno.EINVAL, a.AssignSet("bus 2"));
        Assert.Equal(Errno.None, b.AssignSet("bus 1"));
        Assert.Same(a.DeviceSet, b.DeviceSet);
        Assert.Equal(2, a.DeviceSet!.DeviceCount);
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(a, "a");
        await registration.UnregisterAsync(TestContext.Current.CancellationToken);
        Assert.Equal(2, b.DeviceSet!.DeviceCount);
        a.Put();
        Assert.Equal(1, b.DeviceSet.DeviceCount);
        Assert.NotSame(b.DeviceSet, lone.DeviceSet);
        Assert.Equal(0, lone.DeviceSet!.OpenCount);
    }

    [Fact]
    public async Task Register_twice_or_with_another_host_is_EINVAL()
    {
        await using CoreFixture f = new();
        await using VfioHost other = new();
        RecordingDevice device = f.Add();
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.RegisterEmulatedIommuDevice(device, "again")).Errno);
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => other.RegisterEmulatedIommuDevice(device, "again")).Errno);
    }
}
