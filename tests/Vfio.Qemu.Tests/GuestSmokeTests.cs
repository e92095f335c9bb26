using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>The harness with a real Linux, against devices of QEMU's own.</summary>
[Collection(GuestCollection.Name)]
public sealed class GuestSmokeTests(GuestFixture fixture)
{
    [Fact]
    public async Task BootAsync_runs_commands_and_binds_drivers()
    {
        await using GuestMachine guest = await GuestMachine.BootAsync(
            QemuDevice.Of("edu").At(4), QemuDevice.Of("pci-serial").At(5));

        Assert.Equal(1, guest.BootCount);
        Assert.Equal("0x1234 0x11e8", await guest.RunAsync("cd /sys/bus/pci/devices/0000:00:04.0; echo $(cat vendor device)"));
        Assert.Equal("serial", await guest.RunAsync("basename $(readlink /sys/bus/pci/devices/0000:00:05.0/driver)"));

        // Whatever a command prints comes back as it is, and a command cannot disturb the next one.
        Assert.Equal("a  b\n\tä \\n", await guest.RunAsync("""printf 'a  b\n\tä \\n\n'"""));
        Assert.Equal(new GuestResult(3, "to both"), await guest.TryRunAsync("cd /tmp; echo to both >&2; exit 3"));
        Assert.Equal("/", await guest.RunAsync("pwd"));
        int lines = (await guest.RunAsync("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")).Split('\n').Length;
        Assert.Equal(2000, lines);

        QemuException e = await Assert.ThrowsAsync<QemuException>(() => guest.RunAsync("echo why; false"));
        Assert.Contains("why", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<QemuException>(() => guest.RunAsync("sleep 30", TimeSpan.FromMilliseconds(200)));
        Assert.Contains("gave no result", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RestoreAsync_then_hot_plug_gives_the_device_to_its_driver()
    {
        await using GuestMachine guest = await fixture.RestoreAsync();
        Assert.Equal("restored", await guest.RunAsync("echo restored"));

        await guest.AddDeviceAsync(QemuDevice.Of("edu").On("rp0").Named("d0"));
        await guest.WaitUntilAsync("[ -e /sys/bus/pci/devices/0000:01:00.0/vendor ]");
        Assert.Equal("0x1234", await guest.RunAsync("cat /sys/bus/pci/devices/0000:01:00.0/vendor"));

        QmpException e = await Assert.ThrowsAsync<QmpException>(
            () => guest.AddDeviceAsync(QemuDevice.VfioUser("/nonexistent/socket").On("rp1")));
        Assert.Contains("Failed to connect", e.Description, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reboot_is_seen_and_the_guest_answers_again()
    {
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { AllowReboot = true });
        string before = await guest.RunAsync("cat /proc/sys/kernel/random/boot_id");
        await guest.RunAsync("(sleep 0.2; reboot -f) >/dev/null 2>&1 &");
        await guest.WaitForBootAsync(2);
        Assert.NotEqual(before, await guest.RunAsync("cat /proc/sys/kernel/random/boot_id"));
        Assert.Contains("RESET", guest.Qmp.Events);
    }

    [Fact]
    public async Task Panic_ends_the_machine_and_the_message_shows_the_console()
    {
        await using GuestMachine guest = await GuestMachine.BootAsync();
        await guest.RunAsync("(sleep 0.2; echo c >/proc/sysrq-trigger; kill -9 1; poweroff -f) >/dev/null 2>&1 &");
        await guest.Process.Exited.WaitAsync(TimeSpan.FromSeconds(60));
        QemuException e = await Assert.ThrowsAsync<QemuException>(() => guest.RunAsync("true"));
        Assert.Contains("QEMU has ended", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Iommu_gives_the_guest_vfio_device_files()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using GuestMachine guest = await GuestMachine.BootAsync(
            new GuestOptions { Iommu = true, Devices = [QemuDevice.Of("edu").At(4)] });

        await guest.BindAsync("0000:00:04.0", "vfio-pci");
        Assert.Equal("vfio-pci", await guest.RunAsync("basename $(readlink /sys/bus/pci/devices/0000:00:04.0/driver)"));
        Assert.Equal(
            "/dev/iommu\n/dev/vfio/devices/vfio0\n/dev/vfio/vfio",
            await guest.RunAsync("ls -1 /dev/iommu /dev/vfio/devices/vfio0 /dev/vfio/vfio"));
    }

    [Fact]
    public async Task Files_of_the_host_are_in_the_guest()
    {
        using var scratch = new ScratchFolder();
        Directory.CreateDirectory(scratch.File("data/inner"));
        await File.WriteAllTextAsync(scratch.File("script"), "#!/bin/sh\necho ran with $1 and $(cat /opt/data/inner/value)\n");
        await File.WriteAllTextAsync(scratch.File("data/inner/value"), "42");

        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Files = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["/opt/bin/script"] = scratch.File("script"),
                ["/opt/data"] = scratch.File("data"),
            },
        });
        Assert.Equal("ran with this and 42", await guest.RunAsync("/opt/bin/script this"));
    }
}
