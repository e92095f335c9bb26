using System.Globalization;
using Vfio.Tool.Qemu;

namespace Vfio.Qemu.Tests;

/// <summary>Load of fio in the guest that synchronizes each write before the next, so that what it has written when the server dies is promised.</summary>
internal static class GuestJournal
{
    /// <summary>Begins to write blocks of 4 KiB, waits until some are, and a while longer.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="arguments">Where, and how much: more of fio's arguments.</param>
    /// <returns>Blocks that are promised now; the load goes on.</returns>
    public static async Task<long> WriteAsync(GuestMachine guest, string arguments)
    {
        await guest.RunAsync($$"""
            fio --name=journal {{arguments}} --rw=write --bs=4k --ioengine=psync --fdatasync=1 --verify=crc32c --verify_header_seed=0 \
                --do_verify=0 --verify_state_save=0 --minimal --status-interval=1 >/tmp/load 2>/dev/null &
            # The KiB that are written, field 47 of fio's short report of each second.
            until [ "$(tail -n 1 /tmp/load | cut -d ';' -f 47)" -gt 200 ] 2>/dev/null; do sleep 0.05; done
            """);
        await Task.Delay(Random.Shared.Next(1500));
        string written = await guest.RunAsync("tail -n 1 /tmp/load | cut -d ';' -f 47");

        // The last one may have lacked its synchronization.
        return (long.Parse(written, CultureInfo.InvariantCulture) / 4) - 1;
    }

    /// <summary>Reads blocks that were promised, and checks them.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="arguments">Where, and how much.</param>
    public static Task CheckAsync(GuestMachine guest, string arguments)
        => guest.RunAsync($"fio --name=journal {arguments} --rw=read --bs=4k --ioengine=psync --verify=crc32c --verify_header_seed=0 --verify_fatal=1 --output=/tmp/load || {{ cat /tmp/load; exit 1; }}");
}
