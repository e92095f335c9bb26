using Vfio.Devices.Igb;
using Vfio.Qemu.Tests.Harness;
using Vfio.Testing;

namespace Vfio.Qemu.Tests;

/// <summary>Linux' <c>igb</c>, unmodified, on two network controllers of ours that are one cable: each has a network namespace of the guest to itself.</summary>
[Collection(GuestCollection.Name)]
public sealed class IgbGuestTests : IAsyncLifetime
{
    /// <summary>Moves the second interface into a namespace, where <c>n</c> runs commands, and brings both up.</summary>
    private const string Functions = """
        n() { nsenter -t "$(cat /tmp/namespace)" -n "$@"; }
        carrier() { for i in $(seq 200); do [ "$(cat /sys/class/net/eth0/carrier)" = "$1" ] && return 0; sleep 0.05; done; return 1; }
        count() { cat "/sys/class/net/eth0/statistics/$1"; }

        """;

    private const string Setup = Functions + """
        for i in $(seq 100); do [ -d /sys/class/net/eth1 ] && break; sleep 0.1; done
        unshare -n sleep 10000 >/dev/null 2>&1 &
        echo $! >/tmp/namespace
        for i in $(seq 100); do [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break; sleep 0.05; done
        ip link set eth1 netns $! || exit 1
        ip addr add 10.0.0.1/24 dev eth0
        n ip addr add 10.0.0.2/24 dev eth1
        ip link set eth0 up
        n ip link set eth1 up
        carrier 1 || exit 1
        for i in $(seq 20); do ping -c 1 -W 1 10.0.0.2 >/dev/null && exit 0; done
        exit 1
        """;

    private readonly PacketLink _link = new();
    private readonly DevicePair<IgbDevice>[] _served;

    public IgbGuestTests()
    {
        _served =
        [
            .. Enumerable.Range(1, 2).Select(number => DevicePair.Serve(() => new IgbDevice(new IgbOptions
            {
                Backend = _link.CreatePort,
                Address = new byte[] { 0x52, 0x54, 0, 0, 0, (byte)number },
            }))),
        ];
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (DevicePair<IgbDevice> served in _served)
        {
            await served.DisposeAsync();
        }
    }

    [Fact]
    public async Task Namespaces_reach_each_other_with_small_large_and_jumbo_packets()
    {
        await using GuestMachine guest = await BootAsync();
        Assert.Equal("52:54:00:00:00:01 1000", await guest.RunAsync("echo $(cat /sys/class/net/eth0/address) $(cat /sys/class/net/eth0/speed)"));

        await guest.RunAsync(Functions + "ping -c 5 -i 0.1 10.0.0.2 | grep ' 0% packet loss' && ping -c 5 -i 0.1 -s 1472 10.0.0.2 | grep ' 0% packet loss'");
        await guest.RunAsync(Functions + """
            ip link set eth0 mtu 8200
            n ip link set eth1 mtu 8200
            for i in $(seq 20); do ping -c 1 -W 1 10.0.0.2 >/dev/null && break; done
            ping -c 5 -i 0.1 -s 8000 10.0.0.2 | grep ' 0% packet loss'
            """);
        Assert.Equal("0 0 0", await guest.RunAsync(Functions + "echo $(count rx_errors) $(count tx_errors) $(count rx_crc_errors)"));
    }

    [Fact]
    public async Task Stream_arrives_whole_and_is_counted()
    {
        const int Megabytes = 8;
        await using GuestMachine guest = await BootAsync();

        // TCP with segmentation by the device: the server is in the namespace, and what it serves is fetched from there.
        string[] result = (await guest.RunAsync(Functions + $"""
            mkdir -p /tmp/www
            dd if=/dev/urandom of=/tmp/www/data bs=1M count={Megabytes} 2>/dev/null
            n httpd -p 10.0.0.2:80 -h /tmp/www
            before=$(count rx_bytes)
            wget -q -O /tmp/copy http://10.0.0.2/data || exit 1
            sleep 2.5
            cmp /tmp/www/data /tmp/copy && echo same
            echo $(($(count rx_bytes) - before))
            echo $(($(count tx_errors) + $(count rx_errors)))
            """, TimeSpan.FromMinutes(4))).Split('\n');

        Assert.Equal("same", result[0]);
        long received = long.Parse(result[1], System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(received, Megabytes << 20, (Megabytes + 2) << 20);
        Assert.Equal("0", result[2]);
    }

    [Fact]
    public async Task Four_processors_have_four_queues_and_a_hash_that_spreads()
    {
        await using GuestMachine guest = await BootAsync(processors: 4);
        Assert.Equal("4 4", await guest.RunAsync("echo $(grep -c 'eth0-rx-' /proc/interrupts) $(grep -c 'eth0-tx-' /proc/interrupts)"));

        // Sixteen streams from ports of their own: more than one queue of the receiver gets some.
        string queues = await guest.RunAsync(Functions + """
            mkdir -p /tmp/www
            echo text >/tmp/www/data
            n httpd -p 10.0.0.2:80 -h /tmp/www
            for i in $(seq 16); do wget -q -O /tmp/copy http://10.0.0.2/data && cmp -s /tmp/copy /tmp/www/data || exit 1; done
            awk '/eth0-rx-/ { sum = $2 + $3 + $4 + $5; if (sum > 8) used++ } END { print used }' /proc/interrupts
            """, TimeSpan.FromMinutes(2));
        Assert.InRange(int.Parse(queues, System.Globalization.CultureInfo.InvariantCulture), 2, 4);
    }

    [Fact]
    public async Task Pin_serves_where_there_are_no_messages()
    {
        await using GuestMachine guest = await BootAsync(arguments: "pci=nomsi");
        await guest.RunAsync("grep 'IO-APIC.*eth0' /proc/interrupts");
        await guest.RunAsync("ping -c 5 -i 0.1 -s 1472 10.0.0.2 | grep ' 0% packet loss'");
    }

    [Fact]
    public async Task Pulled_cable_is_seen_and_put_back()
    {
        await using GuestMachine guest = await BootAsync();
        _served[0].Device.SetLink(false);
        await guest.RunAsync(Functions + "carrier 0");
        await guest.RunAsync(Functions + "! ping -c 1 -W 1 10.0.0.2 >/dev/null");
        _served[0].Device.SetLink(true);
        await guest.RunAsync(Functions + "carrier 1 && for i in $(seq 20); do ping -c 1 -W 1 10.0.0.2 >/dev/null && exit 0; done; exit 1");
        await guest.RunAsync("dmesg | grep 'eth0 NIC Link is Down'");
    }

    /// <summary>Packets arrive all the time, also while the driver takes its rings back.</summary>
    [Fact]
    public async Task Driver_is_unbound_and_bound_again()
    {
        await using GuestMachine guest = await BootAsync();
        await guest.RunAsync(Functions + """
            n ip neigh replace 10.0.0.1 lladdr 52:54:00:00:00:01 dev eth1 nud permanent
            # A ping that cannot send ends.
            while :; do n ping -i 0.002 -s 1000 10.0.0.1; sleep 0.1; done >/dev/null 2>/tmp/flood &
            """);
        for (int round = 0; round < 8; round++)
        {
            await guest.RunAsync(Functions + """
                cd /sys/bus/pci/drivers/igb
                echo 0000:00:04.0 >unbind
                [ ! -d /sys/class/net/eth0 ] || exit 1
                echo 0000:00:04.0 >bind
                for i in $(seq 100); do [ -d /sys/class/net/eth0 ] && break; sleep 0.1; done
                ip addr add 10.0.0.1/24 dev eth0
                ip link set eth0 up
                carrier 1 || exit 1
                for i in $(seq 20); do ping -c 1 -W 1 10.0.0.2 >/dev/null && break; [ $i -lt 20 ] || exit 1; done
                for i in $(seq 400); do [ "$(count rx_packets)" -gt 50 ] && exit 0; sleep 0.05; done
                cat /tmp/flood; ps | grep ping; ip -s link; n ip -s link; n ip neigh; exit 1
                """);
        }

        await guest.CheckKernelAsync();
    }

    private async Task<GuestMachine> BootAsync(int processors = 1, string arguments = "")
    {
        GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Memory = 256,
            Processors = processors,
            KernelArguments = arguments,
            Drivers = ["igb"],
            Devices = [QemuDevice.VfioUser(_served[0].SocketPath).At(4), QemuDevice.VfioUser(_served[1].SocketPath).At(5)],
        });
        try
        {
            await guest.RunAsync(Setup);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }
}
