using System.Globalization;
using System.Text.Json.Nodes;
using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary>
/// The controller with a file behind it, served by a process of its own, as a disk that people keep data on: file systems, Linux' own tools, load
/// with verification, firmware that boots from it. Boots are dear here, so each test is one story.
/// </summary>
[Collection(GuestCollection.Name)]
public sealed class NvmeDiskGuestTests
{
    private const string Complaints = "dmesg | grep -v 'ommand line' | grep -E 'nvme.*(error|timeout|failed|I/O|invalid|bogus|bad)|EXT4-fs (error|warning)|blk_update'";

    private static GuestOptions Guest => new() { DiskTools = true, Memory = 512 };

    [Fact]
    public async Task File_system_is_there_after_trim_and_reboot_and_death_of_the_server()
    {
        using var scratch = new ScratchFolder();
        await using ServedDisk disk = await ServedDisk.StartAsync(scratch, scratch.File("disk.img"), "size=128M");
        long promised;
        const string Check = """
            mkdir -p /mnt; mount /dev/nvme0n1 /mnt || exit 1
            cd /mnt && sha256sum -c sums | grep -v ': OK' && exit 2
            find . -type f | wc -l
            cd / && umount /mnt && e2fsck -fn /dev/nvme0n1 >/tmp/fsck 2>&1 || { cat /tmp/fsck; exit 3; }
            """;
        await using (GuestMachine guest = await GuestMachine.BootAsync(Guest with { Devices = [disk.Device.At(4)], AllowReboot = true }))
        {
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            await guest.RunAsync("""
                mkfs.ext4 -q -E nodiscard /dev/nvme0n1 || exit 1
                mkdir -p /mnt; mount /dev/nvme0n1 /mnt && cd /mnt || exit 2
                # Files of all sizes, in folders, and some that go.
                for n in $(seq 40); do mkdir -p d$((n % 7)); head -c $((n * n * 700)) /dev/urandom >d$((n % 7))/f$n || exit 3; done
                head -c 40000000 /dev/urandom >gone; cp -r d1 copy; ln d2/f2 link; sync
                find . -type f ! -name gone ! -name sums -exec sha256sum '{}' + >sums
                cd / && umount /mnt && e2fsck -fn /dev/nvme0n1 >/tmp/fsck 2>&1 || { cat /tmp/fsck; exit 4; }
                """);

            // What the file system gives back becomes holes in the host's file.
            long before = await disk.AllocatedAsync();
            Assert.True(before > 50_000_000, $"{before} bytes");
            await guest.RunAsync("mount /dev/nvme0n1 /mnt && rm /mnt/gone && sync && fstrim /mnt && umount /mnt");
            long after = await disk.AllocatedAsync();
            Assert.True(after < before - 39_000_000, $"{before} bytes before fstrim, {after} behind");
            Assert.Equal("48", await guest.RunAsync(Check));

            await guest.RunAsync("(sleep 0.2; reboot -f) >/dev/null 2>&1 &");
            await guest.WaitForBootAsync(2);
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            Assert.Equal("48", await guest.RunAsync(Check));
            await guest.RunAsync($"! {Complaints}");

            // Mounted, with a file that fsync has promised, and fio promising more, when the server is killed.
            await guest.RunAsync("""
                mount /dev/nvme0n1 /mnt && dd if=/dev/urandom of=/mnt/last bs=64k count=16 conv=fsync 2>/dev/null || exit 1
                cd /mnt && sha256sum last >>sums && dd if=sums of=new conv=fsync 2>/dev/null && mv new sums && sync
                """);

            // The machine is of no use without its device: QEMU 11.1 may abort.
            promised = await GuestJournal.WriteAsync(guest, "--filename=/mnt/load --size=32m");
            await disk.KillAsync();
        }

        await disk.StartAsync();
        await using (GuestMachine guest = await GuestMachine.BootAsync(Guest with { Devices = [disk.Device.At(4)] }))
        {
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            Assert.Equal("50", await guest.RunAsync(Check));
            Assert.Contains("recovery complete", await guest.RunAsync("dmesg | grep EXT4"), StringComparison.Ordinal);
            await guest.RunAsync("mount /dev/nvme0n1 /mnt");
            await GuestJournal.CheckAsync(guest, $"--filename=/mnt/load --size={promised * 4}k");
            await guest.RunAsync("umount /mnt");
        }
    }

    [Fact]
    public async Task Linux_tools_and_verified_load_find_nothing_wrong()
    {
        using var scratch = new ScratchFolder();
        await using ServedDisk disk = await ServedDisk.StartAsync(scratch, scratch.File("disk.img"), "size=64M", "serial=TOOLS1");
        await using GuestMachine guest = await GuestMachine.BootAsync(Guest with { Devices = [disk.Device.At(4)], Processors = 2 });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");

        async Task<JsonNode> Json(string arguments) => JsonNode.Parse(await guest.RunAsync($"nvme {arguments} -o json"))!;
        async Task Says(string arguments, string text)
            => Assert.Contains(text, await guest.RunAsync($"nvme {arguments} 2>&1"), StringComparison.Ordinal);
        async Task Fails(string arguments, string text)
        {
            GuestResult result = await guest.TryRunAsync($"nvme {arguments} 2>&1");
            Assert.NotEqual(0, result.Status);
            Assert.Contains(text, result.Output, StringComparison.Ordinal);
        }

        // Who it is.
        JsonNode controller = await Json("id-ctrl /dev/nvme0");
        Assert.Equal("TOOLS1", controller["sn"]!.GetValue<string>().Trim());
        Assert.Equal((0x1234, 0x20000, 7), (controller["vid"]!.GetValue<int>(), controller["ver"]!.GetValue<int>(), controller["vwc"]!.GetValue<int>()));
        JsonNode space = await Json("id-ns /dev/nvme0n1");
        Assert.Equal(((64 << 20) / 512, 0), (space["nsze"]!.GetValue<int>(), space["flbas"]!.GetValue<int>()));
        Assert.Equal([9, 12], space["lbafs"]!.AsArray().Select(static format => format!["ds"]!.GetValue<int>()));
        JsonNode listed = Assert.Single((await Json("list"))["Devices"]!.AsArray())!;
        Assert.Equal(("/dev/nvme0n1", 512, 64L << 20), (listed["DevicePath"]!.GetValue<string>(), listed["SectorSize"]!.GetValue<int>(), listed["PhysicalSize"]!.GetValue<long>()));
        await Says("list-ns /dev/nvme0", "[   0]:0x1");
        Assert.Contains("1.0", (await Json("fw-log /dev/nvme0")).ToJsonString(), StringComparison.Ordinal);

        // Features.
        await Says("get-feature /dev/nvme0 -f 6 -H", "Volatile Write Cache Enable (WCE): Enabled");
        await Says("set-feature /dev/nvme0 -f 6 -V 0", "set-feature:0x06");
        await Says("get-feature /dev/nvme0 -f 6 -H", "(WCE): Disabled");
        await Says("set-feature /dev/nvme0 -f 6 -V 1", "set-feature:0x06");
        await Says("get-feature /dev/nvme0 -f 4", "0x04 (Temperature Threshold)");
        await Fails("get-feature /dev/nvme0 -f 0x7f", "Invalid Field");

        // Commands on blocks.
        await guest.RunAsync("head -c 4096 /dev/urandom >/tmp/a; head -c 4096 /dev/urandom >/tmp/b");
        await Says("write /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/a", "Success");
        await Says("flush /dev/nvme0n1", "success");
        await Says("compare /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/a", "Success");
        await Fails("compare /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/b", "Compare Failure");
        await Says("verify /dev/nvme0n1 -s 8 -c 7", "Success");
        await Says("copy /dev/nvme0n1 -d 100 -s 8 -b 7", "success");
        await guest.RunAsync("nvme read /dev/nvme0n1 -s 100 -c 7 -z 4096 -d /tmp/c && cmp /tmp/a /tmp/c");
        await Says("write-zeroes /dev/nvme0n1 -s 8 -c 3", "Success");
        Assert.Equal("2048", await guest.RunAsync("nvme read /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/c 2>/dev/null; head -c 2048 /tmp/c | cmp -n 2048 - /dev/zero && cmp -n 2048 /tmp/a /tmp/c 2048 2048 && echo 2048"));
        await Says("dsm /dev/nvme0n1 -n 1 -a 0 -s 8 -b 8 -d", "success");
        await guest.RunAsync("nvme read /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/c && cmp -n 4096 /tmp/c /dev/zero");
        await Says("write-uncor /dev/nvme0n1 -s 200 -c 7", "Success");
        await Fails("read /dev/nvme0n1 -s 200 -c 0 -z 512 -d /tmp/c", "Unrecovered Read Error");
        await Says("write-zeroes /dev/nvme0n1 -s 200 -c 7", "Success");
        await Fails("read /dev/nvme0n1 -s 100000000 -c 0 -z 512 -d /tmp/c", "LBA Out of Range");

        // What the logs say of it.
        JsonArray errors = (await Json("error-log /dev/nvme0 -e 3"))["errors"]!.AsArray();
        Assert.Equal([0x80, 0x281, 0x285], errors.Select(static entry => entry!["status_field"]!.GetValue<int>() & 0x7FF));
        Assert.Equal([100000000, 200, 8], errors.Select(static entry => entry!["lba"]!.GetValue<int>()));
        JsonNode health = await Json("smart-log /dev/nvme0");
        Assert.Equal((310, 0, 100), (health["temperature"]!.GetValue<int>(), health["critical_warning"]!.GetValue<int>(), health["avail_spare"]!.GetValue<int>()));
        Assert.True(health["num_err_log_entries"]!.GetValue<long>() >= 3 && health["media_errors"]!.GetValue<long>() >= 1, health.ToJsonString());
        Assert.True(health["host_write_commands"]!.GetValue<long>() >= 1 && health["data_units_read"]!.GetValue<long>() >= 1, health.ToJsonString());
        await Fails("self-test-log /dev/nvme0", "Invalid Log Page");

        // Format and resets; Linux looks at the namespace anew by itself.
        await Says("format /dev/nvme0n1 -l 1 --force", "Success formatting namespace:1");
        Assert.Equal("4096 131072", await guest.RunAsync("echo $(cat /sys/block/nvme0n1/queue/logical_block_size /sys/block/nvme0n1/size)"));
        await guest.RunAsync(Fio("big", "--rw=randrw --bs=4k --size=4m --ioengine=psync"), TimeSpan.FromSeconds(120));
        await Fails("format /dev/nvme0n1 -l 5 --force", "Invalid Format");
        await Says("format /dev/nvme0n1 -l 0 --force -s 1", "Success formatting namespace:1");
        Assert.Equal("512 131072", await guest.RunAsync("echo $(cat /sys/block/nvme0n1/queue/logical_block_size /sys/block/nvme0n1/size)"));
        await guest.RunAsync("nvme reset /dev/nvme0");
        await guest.WaitUntilAsync("[ \"$(cat /sys/class/nvme/nvme0/state)\" = live ]");
        await Fails("subsystem-reset /dev/nvme0", "not supported");

        // Load: several jobs at once on ranges of their own, each checked, then a job that reads and writes under resets of the controller.
        await guest.RunAsync(
            "fio --filename=/dev/nvme0n1 --direct=1 --verify=crc32c --verify_fatal=1 --output=/tmp/fio --size=6m "
            + "--name=aio --ioengine=libaio --iodepth=16 --rw=randwrite --bs=4k --offset=0 "
            + "--name=ring --ioengine=io_uring --iodepth=8 --rw=randwrite --bsrange=512-64k --offset=8m "
            + "--name=sync --ioengine=psync --rw=write --bs=128k --fdatasync=4 --offset=16m "
            + "--name=mixed --ioengine=libaio --iodepth=4 --rw=randrw --bs=16k --offset=24m || { cat /tmp/fio; exit 1; }",
            TimeSpan.FromSeconds(180));
        await guest.RunAsync($"! {Complaints} | grep -v -e 'Unrecovered' -e 'critical medium' -e 'Compare Failure' -e 'sct 0x'");
        await guest.RunAsync(
            $"(for n in 1 2 3; do sleep 0.7; echo 1 >/sys/class/nvme/nvme0/reset_controller; done) & {Fio("resets", "--rw=randwrite --bs=8k --iodepth=8 --ioengine=libaio --offset=32m --size=8m")}; status=$?; wait; exit $status",
            TimeSpan.FromSeconds(180));
    }

    [Theory]
    [InlineData(GuestBoot.Bios)]
    [InlineData(GuestBoot.Uefi)]
    public async Task Firmware_boots_from_it(GuestBoot firmware)
    {
        using var scratch = new ScratchFolder();
        File.Copy(QemuInstallation.Current.BootDisk, scratch.File("disk.img"));
        await using ServedDisk disk = await ServedDisk.StartAsync(scratch, scratch.File("disk.img"));
        await using GuestMachine guest = await GuestMachine.BootAsync(
            new GuestOptions { Devices = [disk.Device.At(4)], Boot = firmware, Memory = 512, SharedMemory = false, AllowReboot = true });
        Assert.Equal("/dev/root / ext4", await guest.RunAsync("grep ' / ' /proc/mounts | cut -d' ' -f1-3 | tail -n 1"));
        Assert.Equal(firmware == GuestBoot.Uefi ? "efi" : "bios", await guest.RunAsync("[ -d /sys/firmware/efi ] && echo efi || echo bios"));
        await guest.RunAsync("head -c 1000000 /dev/urandom >/root/file && sha256sum /root/file >/root/sum && sync && mount -o remount,ro / ; (sleep 0.2; reboot -f) >/dev/null 2>&1 &");
        await guest.WaitForBootAsync(2);
        await guest.RunAsync($"sha256sum -c /root/sum && ! {Complaints}");
    }

    private static string Fio(string name, string arguments)
        => $"fio --name={name} --filename=/dev/nvme0n1 --direct=1 --verify=crc32c --verify_fatal=1 --output=/tmp/fio {arguments} || {{ cat /tmp/fio; false; }}";
}
