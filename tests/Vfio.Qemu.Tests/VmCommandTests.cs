using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary><c>vfio vm</c>, run as a program.</summary>
[Collection(GuestCollection.Name)]
public sealed class VmCommandTests
{
    [Fact]
    public async Task Command_runs_in_the_guest_with_its_devices_and_gives_its_status()
    {
        ToolResult result = await ToolProcess.RunAsync(
            "vm", "--device", "edu", "--device", "serial,port0=loop,port1=null",
            "--command", "cd /sys/bus/pci/devices; cat */vendor */device | grep -e 11e8 -e 0x0003; echo to error >&2; exit 7");
        Assert.Equal(new ToolResult(7, "0x11e8\n0x0003\nto error\n", string.Empty), result);
    }

    [Fact]
    public async Task Options_reach_kernel_and_qemu()
    {
        ToolResult result = await ToolProcess.RunAsync(
            "vm", "--iommu", "--memory", "192", "--append", "vfio.test=1", "--command",
            "ls /sys/class/iommu | grep -o dmar0; awk '/MemTotal/ { print ($2 > 150000) }' /proc/meminfo; grep -o vfio.test=1 /proc/cmdline; cat /sys/bus/pci/devices/*/device | grep 0x0005",
            "--", "-device", "pci-testdev");
        Assert.Equal(["dmar0", "1", "vfio.test=1", "0x0005"], result.ShouldSucceed().Lines);
    }

    [Fact]
    public async Task Console_is_a_shell_and_the_guests_power_off_ends_the_command()
    {
        // What comes before there is a shell is lost, a line in part: said again until all of it is heard.
        using ToolProcess vm = ToolProcess.StartShell("(while sleep 2 && echo 'echo answer $((6 * 7)) && exit'; do :; done) 2>/dev/null | exec \"$VFIO\" vm --device edu");
        List<string> lines = [];
        while (await vm.ReadLineAsync() is { } line)
        {
            lines.Add(line.TrimEnd('\r'));
        }

        Assert.Equal(0, await vm.WaitAsync());
        Assert.Contains("answer 42", lines);
    }

    [Theory]
    [InlineData("TERM", "--command", "echo up >/dev/ttyS0; sleep 1000")]
    [InlineData("INT", "--command", "echo up >/dev/ttyS0; sleep 1000")]
    [InlineData("TERM", "--memory", "128")]
    public async Task Signal_ends_the_machine_and_leaves_nothing(string signal, string option, string value)
    {
        using ScratchFolder scratch = new();
        using ToolProcess vm = ToolProcess.StartShell($"export TMPDIR={scratch.Path}; exec \"$VFIO\" vm --device edu {option} '{value}' </dev/zero");
        // Until the machine is on: QEMU has attached the device.
        using CancellationTokenSource timeout = new(TimeSpan.FromSeconds(60));
        string[] machines;
        while ((machines = Machines(scratch.Path)).Length == 0)
        {
            await Task.Delay(20, timeout.Token);
        }

        vm.Signal(signal);
        Assert.Equal(1, await vm.WaitAsync());
        Assert.Contains("interrupted", vm.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(scratch.Path, "vfio*"));
        Assert.Empty(Machines(scratch.Path));
    }

    [Fact]
    public async Task Nvme_disk_is_made_and_kept_for_the_next_machine()
    {
        using ScratchFolder scratch = new();
        string file = scratch.File("disk.img");
        (await ToolProcess.RunAsync(
            "vm", "--nvme", $"{file},size=64M,serial=KEPT", "--command",
            "until [ -b /dev/nvme0n1 ]; do sleep 0.05; done; mkfs.ext4 -q /dev/nvme0n1 && mkdir /mnt && mount /dev/nvme0n1 /mnt && echo kept >/mnt/file && umount /mnt")).ShouldSucceed();
        Assert.Equal(64 << 20, new FileInfo(file).Length);
        ToolResult result = await ToolProcess.RunAsync(
            "vm", "--nvme", file, "--nvme", $"{scratch.File("other.img")},size=1M,block=4096", "--command",
            "until [ -b /dev/nvme0n1 ] && [ -b /dev/nvme1n1 ]; do sleep 0.05; done; "
                // Linux probes both at once and numbers them as they come.
                + "disk=$(basename $(dirname $(grep -lx 131072 /sys/block/nvme*/size))); mkdir /mnt; mount /dev/$disk /mnt && cat /mnt/file; cat /sys/block/nvme*/queue/logical_block_size | sort -n; nvme version; fio --version");
        Assert.Equal(["kept", "512", "4096"], result.ShouldSucceed().Lines.Take(3));
        Assert.Contains("fio-", result.Output, StringComparison.Ordinal);
        Assert.Contains("nvme version", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_use_is_told_without_a_machine()
    {
        (await ToolProcess.RunAsync("vm", "--device", "edo")).ShouldFail(2, "'edo'", "edu", "serial");
        (await ToolProcess.RunAsync("vm", "--device", "edu,dma_mask")).ShouldFail(2, "KEY=VALUE", "dma_mask");
        (await ToolProcess.RunAsync("vm", "--device", "serial,port0=stdio")).ShouldFail(2, "port0=stdio", "pty");
        (await ToolProcess.RunAsync("vm", "--kernel", "/nonexistent/kernel")).ShouldFail(2, "/nonexistent/kernel");
        (await ToolProcess.RunAsync("vm", "--nvme", "/nonexistent/disk.img")).ShouldFail(2, "There is no file '/nonexistent/disk.img'", "--nvme /nonexistent/disk.img,size=1G");
        (await ToolProcess.RunAsync("vm", "--nvme", ",size=1G")).ShouldFail(2, "file of the disk");
        (await ToolProcess.RunAsync("vm", "--nvme", "disk.img,size")).ShouldFail(2, "disk.img", "size");
        (await ToolProcess.RunAsync("vm", "--boot", "bios", "--append", "single")).ShouldFail(2, "--boot", "--append");
        (await ToolProcess.RunAsync("vm", "--boot", "floppy")).ShouldFail(2, "floppy");
        (await ToolProcess.RunAsync("vm", "--memory", "1")).ShouldFail(2, "64 to 65536");
    }

    [Fact]
    public async Task Failure_of_qemu_is_told()
    {
        ToolResult result = await ToolProcess.RunAsync("vm", "--command", "true", "--", "-device", "no-such-device");
        Assert.Equal(1, result.Status);
        Assert.Contains("no-such-device", result.Error, StringComparison.Ordinal);
    }

    /// <summary>The QEMUs whose files are in this folder.</summary>
    private static string[] Machines(string folder) =>
    [
        .. Directory.GetDirectories("/proc").Where(process =>
        {
            try
            {
                string line = File.ReadAllText(Path.Combine(process, "cmdline"));
                return line.Contains("qemu-system", StringComparison.Ordinal) && line.Contains(folder, StringComparison.Ordinal)
                    && !line.StartsWith("/bin/sh", StringComparison.Ordinal);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }),
    ];
}
