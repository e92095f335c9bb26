using System.Security.Cryptography;
using Vfio.Devices.Serial;
using Vfio.Qemu.Tests.Harness;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>Serial cards in a real Linux: its own driver binds all ports, and 64 KiB go each way without loss.</summary>
[Collection(GuestCollection.Name)]
public sealed class SerialGuestTests
{
    private const int Length = 64 * 1024;
    private const string Address = "0000:00:04.0";

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public async Task Linux_binds_every_port_and_nothing_is_lost(int ports)
    {
        SerialPipe[] lines = [.. Enumerable.Range(0, ports).Select(_ => new SerialPipe(capacity: 2 * Length))];
        using var scratch = new ScratchFolder();
        await using var host = new VfioHost();
        SerialDevice card = host.Allocate(() => new SerialDevice(new SerialOptions { Ports = ports, Backends = [.. lines.Select<SerialPipe, Func<ISerialBackend>>(line => () => line)] }));
        host.RegisterEmulatedIommuDevice(card, "serial0");
        await using VfioUserServer server = VfioUserServer.Listen(host, "serial0", scratch.File("serial.sock"));
        await using (GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Devices = [QemuDevice.VfioUser(server.SocketPath!).At(4)],
            KernelArguments = "8250.nr_uarts=16",
        }))
        {
            string names = await guest.RunAsync($"cd /sys/class/tty; for t in ttyS*; do readlink $t | grep -q {Address} && echo -n \"$t \"; done; true");
            string[] ttys = [.. names.Split(' ', StringSplitOptions.RemoveEmptyEntries).OrderBy(n => int.Parse(n[4..], System.Globalization.CultureInfo.InvariantCulture))];
            Assert.Equal(ports, ttys.Length);
            Assert.All(await Task.WhenAll(ttys.Select(t => guest.RunAsync($"cat /sys/class/tty/{t}/type"))), type => Assert.Equal("4", type));
            foreach (int port in ports == 1 ? [0] : new[] { 0, ports - 1 })
            {
                await ExchangeAsync(guest, ttys[port], lines[port]);
            }
        }

        await server.DisposeAsync();
        await host.DisposeAsync();
        card.Put();
    }

    private static async Task ExchangeAsync(GuestMachine guest, string tty, SerialPipe line)
    {
        // Before anything is sent: what arrives while stty has the terminal open in its first state is echoed and dropped.
        await guest.RunAsync($"stty -F /dev/{tty} raw -echo crtscts 115200");
        byte[] toGuest = RandomNumberGenerator.GetBytes(Length);
        Assert.Equal(Length, line.Send(toGuest));
        string sums = await guest.RunAsync($$"""
            exec 6<>/dev/{{tty}}
            dd if=/dev/urandom of=/tmp/out bs=1024 count=64 2>/dev/null
            cat /tmp/out >&6 &
            got=$(head -c {{Length}} <&6 | md5sum | cut -c1-32)
            wait $!
            exec 6>&-
            echo $got $(md5sum </tmp/out | cut -c1-32)
            """);
        byte[] fromGuest = new byte[Length];
        Assert.Equal(Length, line.Receive(fromGuest));
        Assert.Equal($"{Sum(toGuest)} {Sum(fromGuest)}", sums);
    }

#pragma warning disable CA5351 // A checksum that the guest's tools know; nothing depends on its strength.
    private static string Sum(byte[] bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
#pragma warning restore CA5351
}
