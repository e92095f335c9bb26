using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary>QEMU's own <c>vfio-pci</c>, unmodified, under <c>vfio run</c>: the guest's driver works on a device of ours that QEMU takes for hardware.</summary>
[Collection(GuestCollection.Name)]
public sealed class RunGuestTests
{
    private const string Script = """
        #!/bin/sh
        until [ -b /dev/nvme0n1 ]; do sleep 0.05; done
        dd if=/dev/urandom of=/tmp/out bs=64k count=16 2>/dev/null
        dd if=/tmp/out of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null || exit 1
        echo 3 >/proc/sys/vm/drop_caches
        [ "$(dd if=/dev/nvme0n1 bs=64k count=16 2>/dev/null | md5sum)" = "$(md5sum </tmp/out)" ] && echo same blocks

        """;

    [Fact]
    public async Task Guest_of_vfio_pci_reads_what_it_wrote_by_nvme()
    {
        using var scratch = new ScratchFolder();
        string start = scratch.File("start");
        await File.WriteAllTextAsync(start, Script, TestContext.Current.CancellationToken);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(start, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        GuestOptions options = new() { SharedMemory = false, Files = new Dictionary<string, string>(StringComparer.Ordinal) { ["/etc/start"] = start } };
        ToolResult result = await ToolProcess.RunAsync(
        [
            "run", "--device", "nvme@06:0d.0", "--", QemuInstallation.Current.Qemu, .. GuestCommandLine.Build(options, scratch, string.Empty),
            "-serial", "stdio", "-device", "vfio-pci,host=0000:06:0d.0",
        ]);
        Assert.True(result.Status == 0 && result.Output.Contains("same blocks", StringComparison.Ordinal), result.ToString());
    }
}
