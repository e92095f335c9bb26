using Vfio.Devices.Edu;
using Vfio.Devices.Serial;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>An edu and a serial card of one process in one Linux: together, across a reboot, and when one is withdrawn.</summary>
[Collection(GuestCollection.Name)]
public sealed class SeveralDevicesGuestTests : IAsyncLifetime
{
    private const string Edu = "/sys/bus/pci/devices/0000:00:04.0";
    private const string Card = "0000:00:05.0";

    /// <summary>Shell functions: a register of the edu through sysfs, the card's tty, and its interrupts so far.</summary>
    private const string Functions = $$"""
        get() { pcimem {{Edu}}/resource0 "$1"; }
        put() { pcimem {{Edu}}/resource0 "$1" "$2"; }
        tty() { for t in /sys/class/tty/ttyS*; do readlink $t | grep -q {{Card}} && basename $t; done; }
        interrupts() { sed -n 's/.*: *\([0-9]*\) .*ttyS.*/\1/p' /proc/interrupts | tail -n 1; }

        """;

    private readonly ScratchFolder _scratch = new();
    private readonly VfioHost _host = new();
    private readonly SerialPipe _line = new(capacity: 64 * 1024);
    private readonly List<VfioDevice> _devices = [];
    private readonly List<VfioUserServer> _servers = [];
    private VfioRegistration? _edu;

    public ValueTask InitializeAsync()
    {
        _edu = Serve(new EduDevice(), "edu0");
        _ = Serve(new SerialDevice(new SerialOptions { Backends = [() => _line] }), "serial0");
        return ValueTask.CompletedTask;

        VfioRegistration Serve<T>(T device, string name)
            where T : VfioDevice
        {
            _devices.Add(_host.Allocate(() => device));
            VfioRegistration registration = _host.RegisterEmulatedIommuDevice(device, name);
            _servers.Add(VfioUserServer.Listen(_host, name, _scratch.File(name)));
            return registration;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (VfioUserServer server in _servers)
        {
            await server.DisposeAsync();
        }

        await _host.DisposeAsync();
        _devices.ForEach(static device => device.Put());
        _scratch.Dispose();
    }

    [Fact]
    public async Task Both_work_at_once_and_interrupts_are_counted()
    {
        await using GuestMachine guest = await BootAsync();
        await UseAsync(guest);
    }

    [Fact]
    public async Task Both_work_again_after_a_reboot()
    {
        await using GuestMachine guest = await BootAsync(allowReboot: true);
        await UseAsync(guest);
        await guest.RunAsync("(sleep 0.2; reboot -f) >/dev/null 2>&1 &");
        await guest.WaitForBootAsync(2);
        await UseAsync(guest);
    }

    [Fact]
    public async Task Withdrawal_of_one_leaves_guest_and_the_other_alive()
    {
        await using GuestMachine guest = await BootAsync();
        await UseAsync(guest);

        // The signal makes the request loop turn at once instead of after ten seconds: the second request disconnects the client.
        using CancellationTokenSource hurry = new();
        Task withdrawn = _edu!.UnregisterAsync(hurry.Token);
        await hurry.CancelAsync();
        await withdrawn.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Null(_host.FindDevice("edu0"));
        Assert.False(_servers[0].HasClient);
        Assert.Equal(ConnectionEnd.DeviceWithdrawn, _servers[0].LastEnd);

        // The guest reads whatever QEMU makes of a device that is not there, and lives on.
        await guest.TryRunAsync(Functions + "get 0x4");
        Assert.False(guest.Process.HasExited);
        await UseCardAsync(guest);
    }

    private static async Task UseEduAsync(GuestMachine guest) => Assert.Equal(
        "0xEDCBA987 0x00375F00",
        await guest.RunAsync(Functions + $"""
            echo 1 >{Edu}/enable
            put 4 0x12345678
            put 8 10
            sleep 0.1
            echo $(get 4) $(get 8)
            """));

    private async Task<GuestMachine> BootAsync(bool allowReboot = false) => await GuestMachine.BootAsync(new GuestOptions
    {
        Files = GuestPrograms.Pcimem,
        AllowReboot = allowReboot,
        Devices = [QemuDevice.VfioUser(_servers[0].SocketPath!).At(4), QemuDevice.VfioUser(_servers[1].SocketPath!).At(5)],
    });

    private async Task UseAsync(GuestMachine guest)
    {
        await UseEduAsync(guest);
        await UseCardAsync(guest);
    }

    private async Task UseCardAsync(GuestMachine guest)
    {
        const string Text = "the quick brown fox jumps over the lazy dog";
        Assert.Equal("serial", await guest.RunAsync($"basename $(readlink /sys/bus/pci/devices/{Card}/driver)"));
        await guest.RunAsync(Functions + "stty -F /dev/$(tty) raw -echo 115200");
        _line.Send(System.Text.Encoding.ASCII.GetBytes(Text + "\n"));
        string[] result = (await guest.RunAsync(Functions + """
            exec 6<>/dev/$(tty)
            before=$(interrupts)
            head -n 1 <&6
            head -c 4096 /dev/zero >&6
            exec 6>&-
            exec 6<>/dev/$(tty)
            echo $(($(interrupts) - before))
            """)).Split('\n');
        Assert.Equal(Text, result[0]);

        // Not one for each FIFO of 16 bytes: the line takes them at once, so the driver fills it again before it leaves its handler.
        int interrupts = int.Parse(result[1], System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(interrupts > 0, $"{interrupts} interrupts");
        byte[] received = new byte[4096];
        Assert.Equal(4096, _line.Receive(received));
        Assert.Equal(new byte[4096], received);
    }
}
