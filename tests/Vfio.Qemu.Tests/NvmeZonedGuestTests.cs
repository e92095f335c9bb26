using System.Globalization;
using System.Text.Json.Nodes;
using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary>Linux' own zoned block devices on the controller's zones: what the kernel makes of them, nvme-cli's commands for zones, verified load, and a server that dies.</summary>
[Collection(GuestCollection.Name)]
public sealed class NvmeZonedGuestTests
{
    private const string Complaints = "dmesg | grep -v 'ommand line' | grep -E 'nvme.*(error|timeout|failed|I/O|invalid|bogus|bad|not supported|zone)|blk_update'";

    /// <summary>16 zones of 16 MiB, of which 12 can be written: 32768 and 24576 blocks.</summary>
    private static readonly string[] s_settings = ["size=256M", "zone_size=16M", "zone_capacity=12M", "max_open=4", "max_active=6"];

    private static GuestOptions Guest => new() { DiskTools = true, Memory = 512, Processors = 2 };

    [Fact]
    public async Task Linux_writes_zones_and_finds_them_again_when_the_server_was_killed()
    {
        using var scratch = new ScratchFolder();
        await using ServedDisk disk = await ServedDisk.StartAsync(scratch, scratch.File("disk.img"), [.. s_settings, $"zonefile={scratch.File("zones")}"]);
        long promised;
        await using (GuestMachine guest = await GuestMachine.BootAsync(Guest with { Devices = [disk.Device.At(4)] }))
        {
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            Assert.Equal("host-managed 32768 16 4 6", await guest.RunAsync("cd /sys/block/nvme0n1/queue && echo $(cat zoned chunk_sectors nr_zones max_open_zones max_active_zones)"));
            Assert.NotEqual("0", await guest.RunAsync("cat /sys/block/nvme0n1/queue/zone_append_max_bytes"));
            await guest.RunAsync($"! {Complaints}");
            await UseTools(guest);

            // Load that writes each of its zones in the kernel's order, in many zones at a time, and reads all of it back.
            await guest.RunAsync(
                "fio --filename=/dev/nvme0n1 --direct=1 --zonemode=zbd --verify=crc32c --verify_fatal=1 --output=/tmp/fio --ioengine=libaio --iodepth=8 "
                + "--name=random --rw=randwrite --bsrange=4k-64k --max_open_zones=2 --offset=0 --size=64m "
                + "--name=mixed --rw=randwrite --bs=16k --max_open_zones=2 --offset=64m --size=64m || { cat /tmp/fio; exit 1; }",
                TimeSpan.FromSeconds(180));
            await guest.RunAsync($"! {Complaints}");

            // One that promises, when the server is killed.
            await guest.RunAsync("nvme zns reset-zone /dev/nvme0n1 -a");
            promised = await GuestJournal.WriteAsync(guest, "--filename=/dev/nvme0n1 --direct=1 --zonemode=zbd --size=128m");
            await disk.KillAsync();
        }

        await disk.StartAsync();
        await using (GuestMachine guest = await GuestMachine.BootAsync(Guest with { Devices = [disk.Device.At(4)] }))
        {
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            long blocks = 0;
            foreach (JsonNode? zone in await Report(guest))
            {
                long start = zone!["slba"]!.GetValue<long>();
                blocks += State(zone) == "FULL" ? 24576 : Math.Max(0, zone["wp"]!.GetValue<long>() - start);
            }

            Assert.True(blocks >= promised * 8, $"{blocks} blocks are behind the write pointers, {promised * 8} were promised");
            await GuestJournal.CheckAsync(guest, $"--filename=/dev/nvme0n1 --direct=1 --zonemode=zbd --size=128m --io_size={promised * 4}k");
            await guest.RunAsync($"! {Complaints}");
        }
    }

    private static async Task UseTools(GuestMachine guest)
    {
        async Task Says(string arguments, string text)
            => Assert.Contains(text, await guest.RunAsync($"nvme zns {arguments} 2>&1"), StringComparison.OrdinalIgnoreCase);

        JsonNode space = JsonNode.Parse(await guest.RunAsync("nvme zns id-ns /dev/nvme0n1 -o json"))!;
        Assert.Equal((0, 1, 5, 3), (Number(space["zoc"]!), Number(space["ozcs"]!), Number(space["mar"]!), Number(space["mor"]!)));
        JsonNode controller = JsonNode.Parse(await guest.RunAsync("nvme zns id-ctrl /dev/nvme0 -o json"))!;
        Assert.Equal(8, Number(controller["zasl"]!));

        await guest.RunAsync("head -c 8192 /dev/urandom >/tmp/a; head -c 4096 /tmp/a >/tmp/half");
        await Says("zone-append /dev/nvme0n1 -s 32768 -z 8192 -d /tmp/a", "LBA 8000");
        await Says("zone-append /dev/nvme0n1 -s 32768 -z 4096 -d /tmp/half", "LBA 8010");
        await guest.RunAsync("nvme read /dev/nvme0n1 -s 32768 -c 15 -z 8192 -d /tmp/b 2>/dev/null && cmp /tmp/a /tmp/b");
        GuestResult wrong = await guest.TryRunAsync("nvme write /dev/nvme0n1 -s 32768 -c 7 -z 4096 -d /tmp/half 2>&1");
        Assert.NotEqual(0, wrong.Status);
        Assert.Contains("Zone Invalid Write", wrong.Output, StringComparison.OrdinalIgnoreCase);
        await Says("open-zone /dev/nvme0n1 -s 65536", "success");
        await Says("close-zone /dev/nvme0n1 -s 65536", "success");
        await Says("finish-zone /dev/nvme0n1 -s 98304", "success");
        JsonArray zones = await Report(guest);
        Assert.Equal(["EMPTY", "IMP_OPENED", "CLOSED", "FULL", "EMPTY"], zones.Take(5).Select(State));
        Assert.Equal((32768L, 24576L, 32792L), (zones[1]!["slba"]!.GetValue<long>(), zones[1]!["cap"]!.GetValue<long>(), zones[1]!["wp"]!.GetValue<long>()));
        await Says("reset-zone /dev/nvme0n1 -a", "success");
        Assert.All(await Report(guest), static zone => Assert.Equal("EMPTY", State(zone)));
    }

    private static async Task<JsonArray> Report(GuestMachine guest)
        => JsonNode.Parse(await guest.RunAsync("nvme zns report-zones /dev/nvme0n1 -o json"))!["zone_list"]!.AsArray();

    private static string State(JsonNode? zone) => zone!["state"]!.GetValue<string>();

    /// <summary>nvme-cli writes some numbers as texts.</summary>
    private static int Number(JsonNode node) => node.GetValueKind() == System.Text.Json.JsonValueKind.Number
        ? node.GetValue<int>()
        : int.Parse(node.GetValue<string>().Replace("0x", "", StringComparison.Ordinal), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
