using System.Diagnostics;

namespace Vfio.Run.Tests;

/// <summary>Programs as the kernel's documentation shows them, by all ways and for all users.</summary>
public sealed class FlowTests
{
    [Theory]
    [InlineData("type1", false, false)]
    [InlineData("type1", true, false)]
    [InlineData("type1", true, true)]
    [InlineData("cdev", false, false)]
    [InlineData("cdev", true, false)]
    [InlineData("cdev", true, true)]
    public async Task Program_of_the_documentation_runs(string name, bool isStatic, bool asNobody)
        => (await SupervisedRun.RunWithAsync(["--device", "edu@06:0d.0"], [TestPrograms.Get(name, isStatic)], asNobody)).ShouldSucceed();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Program_of_the_documentation_runs_as_on_power(bool asNobody)
        => (await SupervisedRun.RunWithAsync(["--device", "edu@06:0d.0", "--spapr"], [TestPrograms.Get("spapr", isStatic: true)], asNobody)).ShouldSucceed();

    [Fact]
    public async Task Sysfs_and_dev_show_the_devices() => (await SupervisedRun.RunAsync(TestPrograms.Get("tree"))).ShouldSucceed();

    [Fact]
    public async Task Wrong_calls_fail_as_the_kernels_do() => (await SupervisedRun.RunAsync(TestPrograms.Get("misuse"))).ShouldSucceed();

    [Fact]
    public async Task Several_devices_and_programs_share_a_run()
    {
        string program = TestPrograms.Get("type1");
        RunResult result = await SupervisedRun.RunWithAsync(
            ["--device", "edu@06:0d.0@07:00.0", "--device", "bench"], ["/bin/sh", "-c", $"{program} && {program} && ls /sys/bus/pci/devices"]);
        result.ShouldSucceed("0000:00:01.0\n0000:06:0d.0\n0000:07:00.0\n");
    }

    [Fact]
    public async Task Devices_of_a_group_stand_in_it_together()
    {
        RunResult result = await SupervisedRun.RunWithAsync(
            ["--device", "edu@06:0d.0@07:00.0", "--group", "1"], ["/bin/sh", "-c", "ls /sys/kernel/iommu_groups/*/devices; ls /dev/vfio"]);
        result.ShouldSucceed("0000:06:0d.0\n0000:07:00.0\n0\ndevices\nvfio\n");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Devices_reach_the_files_that_a_program_has_mapped(bool asNobody)
    {
        (await SupervisedRun.RunWithAsync(["--log-level", "error", "--device", "edu@06:0d.0"], [TestPrograms.Get("shared")], asNobody)).ShouldSucceed();
        (await SupervisedRun.RunWithAsync(["--log-level", "error", "--device", "edu@06:0d.0", "--program-memory", "trusted"], [TestPrograms.Get("shared"), "trusted"], asNobody)).ShouldSucceed();
    }

    [Theory]
    [InlineData("type1")]
    [InlineData("cdev")]
    [InlineData("tree")]
    public async Task Program_of_the_documentation_runs_on_a_device_that_is_served_elsewhere(string name)
    {
        string socket = Path.Combine(TestPrograms.Folder, $"{name}.sock");
        ProcessStartInfo start = new(SupervisedRun.Tool, ["serve", "edu", "--socket-path", socket]) { RedirectStandardOutput = true };
        using Process server = Process.Start(start)!;
        try
        {
            Assert.Equal($"listening {socket}", await server.StandardOutput.ReadLineAsync());
            (await SupervisedRun.RunWithAsync(["--device", $"unix:{socket}@06:0d.0"], [TestPrograms.Get(name)])).ShouldSucceed();
        }
        finally
        {
            server.Kill();
        }
    }
}
