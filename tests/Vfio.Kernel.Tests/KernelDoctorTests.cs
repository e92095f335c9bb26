using Vfio.Abi;

namespace Vfio.Kernel.Tests;

/// <summary>Each finding, by the condition that it is about; and the exception of an opening that it explains.</summary>
public sealed class KernelDoctorTests : IDisposable
{
    private readonly FakeKernel _kernel = new();

    public void Dispose() => _kernel.Dispose();

    [Fact]
    public void Examine_machine_in_order_finds_nothing()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        Assert.Empty(Examine());
        Assert.Empty(_kernel.Doctor.Examine());
    }

    [Theory]
    [InlineData("/dev/vfio/devices/vfio1")]
    [InlineData("/dev/vfio/1")]
    public void Examine_function_that_a_process_has_is_2010_with_the_process(string node)
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.Write("proc/4711/comm", "testpmd\n");
        _kernel.Link("proc/4711/fd/7", _kernel.Path(node[1..]));
        _kernel.Write("proc/4712/comm", "sh\n");
        _kernel.Link("proc/4712/fd/0", "/dev/null");
        Finding finding = Assert.Single(Examine());
        Assert.Equal(("VFIO2010", FindingSeverity.Error), (finding.Id, finding.Severity));
        Assert.StartsWith("testpmd (4711) has ", finding.Cause, StringComparison.Ordinal);
        Assert.EndsWith(node, finding.Fix.TrimEnd('.'), StringComparison.Ordinal);
        Assert.Contains("VFIO2010", Open(Errno.ENOTTY), StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_iommu_off_is_2001()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", null);
        Finding[] findings = [.. Examine()];
        Assert.All(findings, static finding => Assert.Equal(("VFIO2001", FindingSeverity.Error), (finding.Id, finding.Severity)));
        Assert.Contains("intel_iommu=on", findings[0].Fix, StringComparison.Ordinal);
        Assert.Contains("VFIO2001", Open(Errno.ENOENT), StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_module_missing_is_2002()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 1);
        Directory.Delete(_kernel.Path("sys/bus/pci/drivers/vfio-pci"), recursive: true);
        Finding finding = Examine()[0];
        Assert.Equal("VFIO2002", finding.Id);
        Assert.Contains("modprobe vfio-pci", finding.Fix, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("e1000e", "The driver e1000e has 0000:00:04.0.")]
    [InlineData(null, "No driver has 0000:00:04.0.")]
    public void Examine_function_not_bound_is_2003_with_the_command(string? driver, string cause)
    {
        _kernel.AddFunction(FakeKernel.Edu, driver, 1);
        Finding finding = Assert.Single(Examine());
        Assert.Equal(("VFIO2003", cause), (finding.Id, finding.Cause));
        Assert.Contains("vfio bind 0000:00:04.0", finding.Fix, StringComparison.Ordinal);
        Assert.Contains("VFIO2003", Open(Errno.ENOENT), StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_group_not_viable_is_2004_with_function_driver_and_command()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.AddFunction("0000:00:04.1", "e1000e", 1, 0x8086, 0x10d3, 0x020000);
        _kernel.AddFunction("0000:00:1c.0", "pcieport", 1);
        Finding finding = Assert.Single(Examine());
        Assert.Equal("VFIO2004", finding.Id);
        Assert.Contains("0000:00:04.1 (8086:10d3), which e1000e has", finding.Cause, StringComparison.Ordinal);
        Assert.DoesNotContain("1c.0", finding.Cause, StringComparison.Ordinal);
        Assert.Equal("Run: vfio bind 0000:00:04.1.", finding.Fix);
    }

    [Fact]
    public void Examine_permission_is_2005_when_no_way_is_left()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.Forbid("dev/vfio/devices/vfio1");
        Assert.Empty(Examine());

        _kernel.Forbid("dev/vfio/1");
        Finding[] findings = [.. Examine()];
        Assert.All(findings, static finding => Assert.Equal("VFIO2005", finding.Id));
        Assert.Contains(findings, finding => finding.Cause.Contains(_kernel.Path("dev/vfio/devices/vfio1"), StringComparison.Ordinal));
        Assert.Contains(findings, finding => finding.Fix.Contains($"chown {Environment.UserName} {_kernel.Path("dev/vfio/1")}", StringComparison.Ordinal));
        string message = Open(Errno.EACCES);
        Assert.Contains("VFIO2005", message, StringComparison.Ordinal);
        Assert.Contains("Cdev: open", message, StringComparison.Ordinal);
        Assert.Contains("GroupType1: open", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_locked_memory_is_2006_with_limit_and_account()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        _kernel.SetLockedMemory("8388608", hasCapability: false, lockedKibibytes: 64);
        Finding finding = Assert.Single(Examine());
        Assert.Equal(("VFIO2006", FindingSeverity.Warning), (finding.Id, finding.Severity));
        Assert.Contains("this process may lock 8388608 bytes (RLIMIT_MEMLOCK) and has locked 65536", finding.Cause, StringComparison.Ordinal);

        _kernel.SetLockedMemory("8388608", hasCapability: true);
        Assert.Empty(Examine());
    }

    [Fact]
    public void Examine_unsafe_mode_is_2007()
    {
        Directory.Delete(_kernel.Path("sys/kernel/iommu_groups"), recursive: true);
        _kernel.Write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
        Finding finding = Assert.Single(_kernel.Doctor.Examine());
        Assert.Equal(("VFIO2007", FindingSeverity.Warning), (finding.Id, finding.Severity));
    }

    [Fact]
    public void Open_without_iommu_is_refused_before_anything_is_opened()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 0);
        _kernel.Write("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
        Assert.Contains(Examine(), static finding => finding.Id == "VFIO2007");
        string message = Open(Errno.EPERM);
        Assert.Contains("VFIO2007", message, StringComparison.Ordinal);
        Assert.Contains("AllowUnsafeNoIommu", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_node_without_iommu_is_refused_also_behind_a_link()
    {
        _kernel.Write("dev/vfio/devices/noiommu-vfio0", "");
        _kernel.Link("dev/edu", "vfio/devices/noiommu-vfio0");
        foreach (string node in (string[])["dev/vfio/devices/noiommu-vfio0", "dev/edu"])
        {
            VfioException exception = Assert.Throws<VfioException>(
                () => KernelConnection.Open(_kernel.Path(node), new KernelOptions { Files = _kernel.Files, AllowUnsafeNoIommu = true }));
            Assert.Equal(Errno.EPERM, exception.Errno);
            Assert.Contains("VFIO2007", exception.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(false, KernelPath.NoIommu)]
    [InlineData(true, KernelPath.Cdev)]
    public void Open_path_that_is_not_for_the_device_is_EINVAL(bool withoutIommu, KernelPath path)
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 0);
        _kernel.Write("sys/kernel/iommu_groups/0/name", withoutIommu ? "vfio-noiommu\n" : "\n");
        Assert.Equal(
            Errno.EINVAL,
            Assert.Throws<VfioException>(() => KernelConnection.Open(FakeKernel.Edu, new KernelOptions { Files = _kernel.Files, Path = path, AllowUnsafeNoIommu = true })).Errno);
    }

    [Fact]
    public void Examine_kernel_without_nodes_is_2008_and_no_error()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        Directory.Delete(_kernel.Path($"sys/bus/pci/devices/{FakeKernel.Edu}/vfio-dev"), recursive: true);
        Assert.Equal(("VFIO2008", FindingSeverity.Note), Examine().Select(static finding => (finding.Id, finding.Severity)).Single());

        File.Delete(_kernel.Path("dev/iommu"));
        Finding finding = Assert.Single(Examine());
        Assert.Equal(("VFIO2008", FindingSeverity.Note), (finding.Id, finding.Severity));
        Assert.Contains("no iommufd", finding.Cause, StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_no_function_is_2009()
    {
        Assert.Equal("VFIO2009", Assert.Single(Examine()).Id);
        Assert.Contains("VFIO2009", Open(Errno.ENODEV), StringComparison.Ordinal);
    }

    [Fact]
    public void Examine_error_comes_before_warning_and_note()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 1);
        _kernel.SetLockedMemory("65536", hasCapability: false);
        File.Delete(_kernel.Path("dev/iommu"));
        Assert.Equal(["VFIO2003", "VFIO2006", "VFIO2008"], Examine().Select(static finding => finding.Id));
    }

    [Theory]
    [InlineData("edu0")]
    [InlineData("")]
    [InlineData("0000:00:04")]
    public void Open_other_text_is_EINVAL(string target)
        => Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => KernelConnection.Open(target, new KernelOptions { Files = _kernel.Files })).Errno);

    [Fact]
    public void Open_files_that_are_no_devices_tells_every_step_and_leaves_nothing_open()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        string message = Open(Errno.ENOTTY);
        Assert.Contains("Cdev: bind it to the iommufd (VFIO_DEVICE_BIND_IOMMUFD): ENOTTY", message, StringComparison.Ordinal);
        Assert.Contains("GroupType1: look at the group (VFIO_GROUP_GET_STATUS): ENOTTY", message, StringComparison.Ordinal);
        Assert.Contains("GroupIommufd: look at the group", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_only_path_is_the_only_one_tried()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 1);
        string message = Assert.Throws<VfioException>(
            () => KernelConnection.Open(FakeKernel.Edu, new KernelOptions { Files = _kernel.Files, Path = KernelPath.GroupType1 })).Message;
        Assert.EndsWith("Tried GroupType1: look at the group (VFIO_GROUP_GET_STATUS): ENOTTY.", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("unlimited", false, 0, ulong.MaxValue, true)]
    [InlineData("65536", true, 0, ulong.MaxValue, true)]
    [InlineData("65536", false, 0, 65536ul, true)]
    [InlineData("65536", false, 4, 65536ul, false)]
    [InlineData("65536", false, 128, 1ul, false)]
    [InlineData("0", false, 0, 4096ul, false)]
    public void LockedMemory_allows_what_the_kernel_will(string limit, bool hasCapability, int locked, ulong length, bool allowed)
    {
        _kernel.SetLockedMemory(limit, hasCapability, locked);
        Assert.Equal(allowed, LockedMemoryBudget.Read(_kernel.Files, KernelPath.Cdev).Allows(length));
        Assert.Equal(allowed, LockedMemoryBudget.Read(_kernel.Files, KernelPath.GroupType1).Allows(length));
    }

    private IReadOnlyList<Finding> Examine() => _kernel.Doctor.Examine(FakeKernel.Address(FakeKernel.Edu));

    private string Open(Errno expected)
    {
        VfioException exception = Assert.Throws<VfioException>(() => KernelConnection.Open(FakeKernel.Edu, new KernelOptions { Files = _kernel.Files }));
        Assert.Equal(expected, exception.Errno);
        return exception.Message;
    }
}
