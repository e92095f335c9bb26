using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>Mediated devices (spec vfio-core §9, §10.14).</summary>
public sealed class MdevTests
{
    private const string First = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    private const string Second = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case237_driver_without_device_api_is_EINVAL()
    {
        await using CoreFixture f = new();
        TestDriver driver = new(f.Host) { Api = string.Empty };
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => f.Host.RegisterMdevParent("p0", "drv", driver, new MdevType("1"))).Errno);
        Assert.Empty(f.Host.MdevParents);
    }

    [Fact]
    public async Task Case238_249_tree_of_a_parent()
    {
        await using CoreFixture f = new();
        List<(string, bool)> events = [];
        f.Host.MdevParentChanged += (parent, registered) => events.Add((parent.Name, registered));
        TestDriver driver = new(f.Host) { Maximum = 3, Description = type => type.SysfsName == "1" ? "one\n" : null };
        await using MdevParent parent = f.Host.RegisterMdevParent("p0", "drv", driver, new MdevType("1", "One port"), new MdevType("2"));
        Assert.Equal([("p0", true)], events);
        const string Types = "class/mdev_bus/p0/mdev_supported_types";
        Assert.Equal(["drv-1", "drv-2"], Names(f.Host, Types));
        Assert.Equal(["create", "device_api", "name", "available_instances", "devices", "description"], Names(f.Host, $"{Types}/drv-1"));
        Assert.Equal(["create", "device_api", "name", "available_instances", "devices"], Names(f.Host, $"{Types}/drv-2"));
        Assert.Equal("vfio-pci\n", Read(f.Host, $"{Types}/drv-1/device_api"));
        Assert.Equal("One port\n", Read(f.Host, $"{Types}/drv-1/name"));
        Assert.Equal("2\n", Read(f.Host, $"{Types}/drv-2/name"));
        Assert.Equal("3\n", Read(f.Host, $"{Types}/drv-2/available_instances"));
        Assert.Equal("one\n", Read(f.Host, $"{Types}/drv-1/description"));
        Assert.Null(((VirtualAttribute)f.Host.MdevTree.Find($"{Types}/drv-1/create")!).Read);
        Assert.Null(f.Host.MdevTree.Find($"{Types}/drv-3/create"));
    }

    [Theory]
    [InlineData("83b8f4f2-509f-382f-3c1e-e6bfe0fa100")]
    [InlineData("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\n\n")]
    [InlineData("83b8f4f2-509f-382f-3c1e-e6bfe0fa10zz")]
    [InlineData("83b8f4f2x509f-382f-3c1e-e6bfe0fa1001")]
    public async Task Case239_malformed_guids_are_EINVAL(string text)
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 3 });
        Assert.Equal(Errno.EINVAL, parent.Create(parent.Types[0], text).Error);
    }

    [Fact]
    public async Task Case240_upper_case_and_a_newline_make_a_lower_case_device_with_links()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 3 });
        VirtualAttribute create = (VirtualAttribute)f.Host.MdevTree.Find("class/mdev_bus/p0/mdev_supported_types/drv-1/create")!;
        Assert.Equal(37, (await create.Write!(First.ToUpperInvariant() + "\n")).Value);
        Assert.Equal(First, Assert.Single(parent.Devices).Name);
        Assert.Equal($"class/mdev_bus/p0/{First}", ((VirtualLink)f.Host.MdevTree.Find($"bus/mdev/devices/{First}")!).Target);
        Assert.IsType<VirtualLink>(f.Host.MdevTree.Find($"class/mdev_bus/p0/mdev_supported_types/drv-1/devices/{First}"));
        Assert.IsType<VirtualLink>(f.Host.MdevTree.Find($"class/mdev_bus/p0/{First}/mdev_type"));
        Assert.Equal(Errno.None, f.Host.TryOpenDevice(First, out VfioDeviceFile? file));
        file!.Dispose();
    }

    [Fact]
    public async Task Case241_a_guid_exists_once_in_the_host()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 3 });
        await using MdevParent other = Register(f, new TestDriver(f.Host) { Maximum = 3 }, "p1");
        Assert.Equal(36, parent.Create(parent.Types[0], First).Value);
        Assert.Equal(Errno.EEXIST, parent.Create(parent.Types[1], First.ToUpperInvariant()).Error);
        Assert.Equal(Errno.EEXIST, other.Create(other.Types[0], First).Error);
    }

    [Fact]
    public async Task Case242_instances_are_counted_over_all_types()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 1 });
        Assert.Equal(36, parent.Create(parent.Types[0], First).Value);
        Assert.Equal(Errno.EUSERS, parent.Create(parent.Types[1], Second).Error);
        Assert.Equal("0\n", Read(f.Host, "class/mdev_bus/p0/mdev_supported_types/drv-1/available_instances"));
        Assert.Equal("0\n", Read(f.Host, "class/mdev_bus/p0/mdev_supported_types/drv-2/available_instances"));
    }

    [Fact]
    public async Task Case243_a_driver_that_answers_is_not_counted()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Available = 7 });
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(36, parent.Create(parent.Types[0], Guid.NewGuid().ToString()).Value);
        }

        Assert.Equal("7\n", Read(f.Host, "class/mdev_bus/p0/mdev_supported_types/drv-1/available_instances"));
    }

    [Fact]
    public async Task Case244_failing_probe_gives_everything_back()
    {
        await using CoreFixture f = new();
        TestDriver driver = new(f.Host) { Maximum = 1, ProbeResult = Errno.ENOSPC };
        await using MdevParent parent = Register(f, driver);
        Assert.Equal(Errno.ENOSPC, parent.Create(parent.Types[0], First).Error);
        driver.ProbeResult = Errno.None;
        Assert.Equal(36, parent.Create(parent.Types[0], First).Value);
    }

    [Fact]
    public async Task Case245_remove_takes_a_number()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 1 });
        Assert.Equal(Errno.None, parent.Create(parent.Types[0], Guid.Parse(First), out MdevDevice? device));
        Assert.Equal(Errno.EINVAL, (await parent.RemoveAsync(device!, "x")).Error);
        Assert.Equal(Errno.EINVAL, (await parent.RemoveAsync(device!, string.Empty)).Error);
        Assert.Equal(1, (await parent.RemoveAsync(device!, "0")).Value);
        Assert.Single(parent.Devices);
        Assert.Equal(4, (await parent.RemoveAsync(device!, "0x1\n")).Value);
        Assert.Empty(parent.Devices);
        Assert.Equal(Errno.ENODEV, (await parent.RemoveAsync(device!, "1")).Error);
        Assert.Equal(36, parent.Create(parent.Types[1], First).Value);
    }

    [Fact]
    public async Task Case245_the_instance_returns_with_the_last_reference()
    {
        await using CoreFixture f = new();
        await using MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 1 });
        Assert.Equal(Errno.None, parent.Create(parent.Types[0], Guid.Parse(First), out MdevDevice? device));
        device!.Get();
        Assert.Equal(Errno.None, await parent.RemoveAsync(device));
        Assert.Equal(Errno.EUSERS, parent.Create(parent.Types[0], Second).Error);
        device.Put();
        Assert.Equal(36, parent.Create(parent.Types[0], Second).Value);
    }

    [Fact]
    public async Task Case246_remove_waits_for_the_user_and_asks_it()
    {
        await using CoreFixture f = new();
        TestDriver driver = new(f.Host) { Maximum = 1 };
        await using MdevParent parent = Register(f, driver);
        Assert.Equal(Errno.None, parent.Create(parent.Types[0], Guid.Parse(First), out MdevDevice? device));
        VfioDeviceFile file = f.OpenBound(First);
        Task<IoResult> removal = parent.RemoveAsync(device!, "1");
        Assert.False(removal.IsCompleted);
        Assert.Contains("request 0", driver.Made.Calls);
        Assert.Equal(Errno.EAGAIN, await parent.RemoveAsync(device!));
        file.Dispose();
        Assert.Equal(1, (await removal.WaitAsync(TimeSpan.FromSeconds(10), Token)).Value);
        Assert.Equal("release", driver.Made.Calls[^1]);
    }

    [Fact]
    public async Task Case247_248_unregistering_a_parent_removes_its_devices_and_refuses_others()
    {
        await using CoreFixture f = new();
        List<bool> events = [];
        f.Host.MdevParentChanged += (_, registered) => events.Add(registered);
        MdevParent parent = Register(f, new TestDriver(f.Host) { Maximum = 3 });
        Assert.Equal(Errno.None, parent.Create(parent.Types[0], Guid.Parse(First), out MdevDevice? first));
        Assert.Equal(36, parent.Create(parent.Types[0], Second).Value);
        VfioDeviceFile file = f.OpenBound(First);
        Task unregistered = parent.UnregisterAsync();
        Assert.False(unregistered.IsCompleted);
        Assert.Equal(Errno.ENODEV, parent.Create(parent.Types[0], Guid.NewGuid().ToString()).Error);
        Assert.Equal(Errno.ENODEV, await parent.RemoveAsync(first!));
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.Empty(parent.Devices);
        Assert.Empty(f.Host.Devices);
        Assert.Empty(f.Host.MdevParents);
        Assert.Null(f.Host.MdevTree.Find("class/mdev_bus/p0"));
        Assert.Equal([true, false], events);
    }

    [Fact]
    public async Task Unregister_waits_for_a_creation_and_removes_what_it_made()
    {
        await using CoreFixture f = new();
        using ManualResetEventSlim probing = new();
        using ManualResetEventSlim proceed = new();
        TestDriver driver = new(f.Host)
        {
            Maximum = 1,
            Probing = () =>
            {
                probing.Set();
                proceed.Wait();
            },
        };
        MdevParent parent = Register(f, driver);
        Task<IoResult> creation = Task.Run(() => parent.Create(parent.Types[0], First), Token);
        probing.Wait(Token);
        Task unregistered = parent.UnregisterAsync();
        await Task.Delay(20, Token);
        Assert.False(unregistered.IsCompleted);
        proceed.Set();
        Assert.Equal(36, (await creation).Value);
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.Equal("release", driver.Made.Calls[^1]);
        Assert.Empty(f.Host.Devices);
    }

    private static MdevParent Register(CoreFixture f, TestDriver driver, string name = "p0")
        => f.Host.RegisterMdevParent(name, "drv", driver, new MdevType("1"), new MdevType("2"));

    private static IEnumerable<string> Names(VfioHost host, string path) => ((VirtualDirectory)host.MdevTree.Find(path)!).List().Select(static node => node.Name);

    private static string Read(VfioHost host, string path) => ((VirtualAttribute)host.MdevTree.Find(path)!).Read!();

    private sealed class TestDriver(VfioHost host) : MdevDriver
    {
        public string Api { get; init; } = "vfio-pci";

        public uint Maximum { get; init; }

        public uint? Available { get; init; }

        public Errno ProbeResult { get; set; }

        public Action? Probing { get; init; }

        public Func<MdevType, string?> Description { get; init; } = static _ => null;

        public RecordingDevice Made { get; private set; } = null!;

        public override string DeviceApi => Api;

        public override uint MaximumInstances => Maximum;

        protected internal override Errno Probe(MdevDevice device)
        {
            Probing?.Invoke();
            if (ProbeResult != Errno.None)
            {
                return ProbeResult;
            }

            Made = host.Allocate(static () => new RecordingDevice());
            device.DriverData = host.RegisterEmulatedIommuDevice(Made, device.Name);
            return Errno.None;
        }

        protected internal override async Task RemoveAsync(MdevDevice device)
        {
            VfioRegistration registration = (VfioRegistration)device.DriverData!;
            await registration.UnregisterAsync();
            registration.Device.Put();
        }

        protected internal override uint? GetAvailable(MdevType type) => Available;

        protected internal override string? Describe(MdevType type) => Description(type);
    }
}
