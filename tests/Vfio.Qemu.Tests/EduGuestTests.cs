using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>Edu in a real Linux: found, decoded, interrupting through the kernel, and handed to the kernel's own VFIO.</summary>
[Collection(GuestCollection.Name)]
public sealed class EduGuestTests(GuestFixture fixture)
{
    /// <summary>Shell functions: a register of BAR 0 of the function in $1, through sysfs.</summary>
    private const string Registers = """
        get() { pcimem "/sys/bus/pci/devices/$1/resource0" "$2"; }
        put() { pcimem "/sys/bus/pci/devices/$1/resource0" "$2" "$3"; }

        """;

    [Fact]
    public async Task Guest_at_boot_finds_and_uses_the_device()
    {
        await using ServedEdu served = new();
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)], Files = GuestPrograms.Pcimem });
        await UseAsync(guest, "0000:00:04.0");
    }

    [Fact]
    public async Task Guest_uses_a_device_that_was_plugged_in()
    {
        await using ServedEdu served = new();
        await using GuestMachine guest = await fixture.RestoreAsync();
        await guest.AddDeviceAsync(served.Device.On("rp0").Named("d0"));
        await guest.WaitUntilAsync("[ -e /sys/bus/pci/devices/0000:01:00.0/vendor ]");
        await UseAsync(guest, "0000:01:00.0");
    }

    [Fact]
    public async Task Line_interrupt_reaches_a_driver_of_the_guest()
    {
        await using ServedEdu served = new();
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)], Files = GuestPrograms.Pcimem });
        const string Address = "0000:00:04.0";
        await guest.RunAsync("echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id");
        await guest.WaitUntilAsync("[ -c /dev/uio0 ]");

        // The generic driver finds its interrupt in the status register, masks it in the command register and counts it;
        // its user unmasks it there. Three rounds: level, acknowledge, again.
        for (int round = 1; round <= 3; round++)
        {
            string count = await guest.RunAsync(Registers + $$"""
                # Opened before: a reader waits for interrupts after its opening.
                exec 5<>/dev/uio0
                printf '\000' | dd of=/sys/bus/pci/devices/{{Address}}/config bs=1 seek=5 conv=notrunc 2>/dev/null || exit 1
                put {{Address}} 0x60 0x4 || exit 1
                count=$(timeout 20 dd bs=4 count=1 <&5 2>/dev/null | od -An -tu4 | tr -d ' ')
                [ "$(get {{Address}} 0x24)" = 0x00000004 ] || exit 2
                put {{Address}} 0x64 0x4 || exit 3
                echo "$count"
                """);
            Assert.Equal($"{round}", count);
        }
    }

    [Fact]
    public async Task Guest_kernel_takes_the_device_for_its_own_vfio()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using ServedEdu served = new();
        await using GuestMachine guest = await GuestMachine.BootAsync(
            new GuestOptions { Iommu = true, Devices = [served.Device.At(4)] });
        await guest.BindAsync("0000:00:04.0", "vfio-pci");
        Assert.Equal("vfio0", await guest.RunAsync("ls /sys/bus/pci/devices/0000:00:04.0/vfio-dev"));
        await guest.RunAsync("[ -c /dev/vfio/devices/vfio0 ] && exec 4<>/dev/vfio/devices/vfio0");
    }

    [Fact]
    public async Task Reboot_of_the_guest_gives_it_a_fresh_device()
    {
        await using ServedEdu served = new();
        await using GuestMachine guest = await GuestMachine.BootAsync(
            new GuestOptions { AllowReboot = true, Devices = [served.Device.At(4)], Files = GuestPrograms.Pcimem });
        await guest.RunAsync(Registers + """
            echo 1 >/sys/bus/pci/devices/0000:00:04.0/enable
            put 0000:00:04.0 0x60 0x8
            [ "$(get 0000:00:04.0 0x24)" = 0x00000008 ]
            (sleep 0.2; reboot -f) >/dev/null 2>&1 &
            """);
        await guest.WaitForBootAsync(2);
        Assert.Equal("0x00000000", await guest.RunAsync(Registers + """
            echo 1 >/sys/bus/pci/devices/0000:00:04.0/enable
            get 0000:00:04.0 0x24
            """));
        await UseAsync(guest, "0000:00:04.0");
    }

    private static async Task UseAsync(GuestMachine guest, string address)
    {
        Assert.Equal(
            "0x1234 0x11e8 0x00ff00",
            await guest.RunAsync($"cd /sys/bus/pci/devices/{address}; echo $(cat vendor device class)"));
        Assert.Equal(
            "0x010000ED 0xEDCBA987 0x00375F00",
            await guest.RunAsync(Registers + $"""
                echo 1 >/sys/bus/pci/devices/{address}/enable
                put {address} 4 0x12345678
                put {address} 8 10
                sleep 0.1
                echo $(get {address} 0) $(get {address} 4) $(get {address} 8)
                """));
    }
}
