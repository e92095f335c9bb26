namespace Vfio.Run.Tests;

/// <summary>Virtual functions that a program makes by sysfs.</summary>
public sealed class VirtualFunctionTests
{
    private const string Physical = "/sys/bus/pci/devices/0000:06:00.0";

    // tee, not a redirection: that of a shell duplicates the descriptor to one of the program's own.
    private const string Functions = $$"""
        number() { echo "$1" | tee {{Physical}}/sriov_numvfs >/dev/null 2>&1 && echo set || echo refused; }
        list() { echo $(ls /sys/bus/pci/devices); }

        """;

    [Fact]
    public async Task Functions_come_and_go_with_a_number_in_sysfs()
    {
        RunResult result = await RunAsync($$"""
            cat {{Physical}}/sriov_totalvfs {{Physical}}/sriov_numvfs {{Physical}}/sriov_offset {{Physical}}/sriov_stride {{Physical}}/sriov_vf_device
            number 2
            list
            cat {{Physical}}/sriov_numvfs
            for i in 0 1; do
              basename $(readlink {{Physical}}/virtfn$i)
              f={{Physical}}/virtfn$i
              echo $(cat $f/vendor $f/device) $(basename $(readlink $f/driver)) $(basename $(readlink $f/physfn))
            done
            readlink {{Physical}}/virtfn2 || echo none
            number 0
            list
            number 8
            list | wc -w
            """);

        result.ShouldSucceed("""
            8
            0
            384
            2
            10ca
            set
            0000:06:00.0 0000:07:10.0 0000:07:10.2
            2
            0000:07:10.0
            0x8086 0x10ca vfio-pci 0000:06:00.0
            0000:07:10.2
            0x8086 0x10ca vfio-pci 0000:06:00.0
            none
            set
            0000:06:00.0
            set
            9

            """);
    }

    [Fact]
    public async Task Numbers_that_cannot_be_are_refused_and_change_nothing()
    {
        RunResult result = await RunAsync($$"""
            number 9
            number two
            number 3
            number 3
            number 4
            list
            """);

        result.ShouldSucceed("refused\nrefused\nset\nset\nrefused\n0000:06:00.0 0000:07:10.0 0000:07:10.2 0000:07:10.4\n");
    }

    [Fact]
    public async Task Functions_go_with_the_driver_of_the_physical_one()
    {
        RunResult result = await RunAsync($$"""
            number 1
            echo 0000:06:00.0 | tee /sys/bus/pci/drivers/vfio-pci/unbind >/dev/null
            list
            [ -e {{Physical}}/sriov_numvfs ] || echo no file
            echo 0000:06:00.0 | tee /sys/bus/pci/drivers/vfio-pci/bind >/dev/null
            cat {{Physical}}/sriov_numvfs
            """);

        result.ShouldSucceed("set\n0000:06:00.0\nno file\n0\n");
    }

    [Fact]
    public async Task Other_functions_have_no_such_files()
    {
        RunResult result = await SupervisedRun.RunWithAsync(["--device", "edu@06:00.0"], ["/bin/sh", "-c", $"ls {Physical} | grep sriov || echo none"]);
        result.ShouldSucceed("none\n");
    }

    private static Task<RunResult> RunAsync(string script) => SupervisedRun.RunWithAsync(["--device", "igb@06:00.0"], ["/bin/sh", "-c", Functions + script]);
}
