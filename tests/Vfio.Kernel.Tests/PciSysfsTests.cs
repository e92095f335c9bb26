using Vfio.Abi;

namespace Vfio.Kernel.Tests;

/// <summary>Functions and groups on a fake <c>/sys</c>. That the kernel does what it is told is seen in the virtual machine.</summary>
public sealed class PciSysfsTests : IDisposable
{
    private readonly FakeKernel _kernel = new();

    public void Dispose() => _kernel.Dispose();

    [Fact]
    public void Find_function_has_what_sysfs_says()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 3);
        Assert.Equal(
            new PciFunction(FakeKernel.Address(FakeKernel.Edu), 0x1234, 0x11e8, 0x00ff00, "vfio-pci", null, 3, "vfio3"),
            _kernel.Sysfs.Find(FakeKernel.Address(FakeKernel.Edu)));
        Assert.Null(_kernel.Sysfs.Find(FakeKernel.Address("0000:00:05.0")));
    }

    [Fact]
    public void Find_function_without_driver_and_group_has_none()
    {
        _kernel.AddFunction(FakeKernel.Edu, null, null);
        PciFunction function = _kernel.Sysfs.Find(FakeKernel.Address(FakeKernel.Edu))!;
        Assert.Null(function.Driver);
        Assert.Null(function.Group);
        Assert.Null(function.VfioDevice);
        Assert.False(function.HoldsGroupBack);
    }

    [Fact]
    public void Functions_are_found_by_id_and_by_class()
    {
        _kernel.AddFunction("0000:01:00.0", "nvme", 1, 0x1b36, 0x0010, 0x010802);
        _kernel.AddFunction(FakeKernel.Edu, null, 2);
        _kernel.AddFunction("0000:02:00.0", "ahci", 3, 0x8086, 0x2922, 0x010601);
        Assert.Equal([FakeKernel.Edu, "0000:01:00.0", "0000:02:00.0"], Addresses(_kernel.Sysfs.GetFunctions()));
        Assert.Equal([FakeKernel.Edu], Addresses(_kernel.Sysfs.FindById(0x1234, 0x11e8)));
        Assert.Equal(["0000:01:00.0", "0000:02:00.0"], Addresses(_kernel.Sysfs.FindByClass(1)));
        Assert.Equal(["0000:01:00.0"], Addresses(_kernel.Sysfs.FindByClass(1, 8, 2)));
        Assert.Empty(_kernel.Sysfs.FindByClass(1, 8, 1));
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("vfio-pci", false)]
    [InlineData("mlx5_vfio_pci", false)]
    [InlineData("pcieport", false)]
    [InlineData("pci-stub", false)]
    [InlineData("e1000e", true)]
    [InlineData("uio_pci_generic", true)]
    public void Group_is_held_back_by_drivers_that_use_dma_themselves(string? driver, bool holdsBack)
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.AddFunction("0000:00:04.1", driver, 1);
        IReadOnlyList<PciFunction> members = _kernel.Sysfs.GetGroupMembers(1);
        Assert.Equal([FakeKernel.Edu, "0000:00:04.1"], Addresses(members));
        Assert.Equal(holdsBack, members[1].HoldsGroupBack);
        Assert.Empty(_kernel.Sysfs.GetGroupMembers(2));
    }

    [Fact]
    public void Bind_tells_the_kernel_override_unbind_and_probe()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 1);
        _kernel.Write($"sys/bus/pci/devices/{FakeKernel.Edu}/driver_override", "");

        // Nobody acts on it here: that is noticed.
        VfioException exception = Assert.Throws<VfioException>(() => _kernel.Sysfs.Bind(FakeKernel.Address(FakeKernel.Edu)));
        Assert.Equal(Errno.EIO, exception.Errno);
        Assert.Contains("e1000e has the function now", exception.Message, StringComparison.Ordinal);
        Assert.Equal("vfio-pci", _kernel.Read($"sys/bus/pci/devices/{FakeKernel.Edu}/driver_override"));
        Assert.Equal(FakeKernel.Edu, _kernel.Read("sys/bus/pci/drivers/e1000e/unbind"));
        Assert.Equal(FakeKernel.Edu, _kernel.Read("sys/bus/pci/drivers_probe"));
    }

    [Fact]
    public void Bind_to_its_own_driver_writes_nothing()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.Sysfs.Bind(FakeKernel.Address(FakeKernel.Edu));
        Assert.Equal(string.Empty, _kernel.Read("sys/bus/pci/drivers_probe"));
    }

    [Fact]
    public void Bind_without_the_driver_says_how_to_load_it()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 1);
        Directory.Delete(_kernel.Path("sys/bus/pci/drivers/vfio-pci"), recursive: true);
        VfioException exception = Assert.Throws<VfioException>(() => _kernel.Sysfs.Bind(FakeKernel.Address(FakeKernel.Edu)));
        Assert.Equal(Errno.ENODEV, exception.Errno);
        Assert.Contains("VFIO2002", exception.Message, StringComparison.Ordinal);
        Assert.Contains("modprobe vfio-pci", exception.Message, StringComparison.Ordinal);
        Assert.Equal(string.Empty, _kernel.Read("sys/bus/pci/drivers/e1000e/unbind"));
    }

    [Fact]
    public void Bind_of_no_function_is_ENODEV()
        => Assert.Equal(Errno.ENODEV, Assert.Throws<VfioException>(() => _kernel.Sysfs.Bind(FakeKernel.Address(FakeKernel.Edu))).Errno);

    [Fact]
    public void Unbind_of_another_kind_of_driver_does_nothing()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 1);
        VfioException exception = Assert.Throws<VfioException>(() => _kernel.Sysfs.Unbind(FakeKernel.Address(FakeKernel.Edu)));
        Assert.Equal(Errno.EBUSY, exception.Errno);
        Assert.Equal(string.Empty, _kernel.Read("sys/bus/pci/drivers/e1000e/unbind"));
    }

    private static IEnumerable<string> Addresses(IEnumerable<PciFunction> functions) => functions.Select(static function => function.Address.ToString());
}
