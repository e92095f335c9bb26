using System.Diagnostics;

namespace Vfio.Tool.Qemu;

/// <summary>
/// QEMU and the guest's parts as <c>eng/guest/setup.sh</c> lays them out in the cache. A missing part is an error that
/// names the command to run: a test that needs QEMU fails without it, it is never skipped.
/// From a checkout <see cref="CompleteAsync"/> runs that command.
/// </summary>
public sealed class QemuInstallation
{
    private static readonly Lazy<QemuInstallation> s_current = new(() => new QemuInstallation(FindCache()));

    private readonly string _cache;

    private QemuInstallation(string cache) => _cache = cache;

    /// <summary>The installation of this user (<c>VFIO_CACHE</c>, else <c>XDG_CACHE_HOME</c>, else <c>~/.cache</c>).</summary>
    public static QemuInstallation Current => s_current.Value;

    /// <summary>The start script of QEMU 11 with <c>vfio-user-pci</c>.</summary>
    public string Qemu => Require("qemu/bin/qemu-system-x86_64", "qemu");

    /// <summary>The guest kernel, an ELF file that QEMU starts by PVH.</summary>
    public string Kernel => Require("kernel/vmlinux", "kernel");

    /// <summary>Modules of the guest kernel as an archive to append; empty when everything is built in.</summary>
    public string KernelModules => Require("kernel/modules.cpio", "kernel");

    /// <summary>busybox, the first process and the agent.</summary>
    public string Initramfs => Require("initramfs/base.cpio", "initramfs");

    /// <summary>Debian's kernel with NVMe and ext4 built in, for <see cref="GuestOptions.DiskTools"/>.</summary>
    public string DiskKernel => Require("disks/vmlinux", "disks");

    /// <summary>Debian's kernel, for <see cref="GuestOptions.Drivers"/>.</summary>
    public string DriverKernel => Require("debian-kernel/vmlinux", "debian-kernel");

    /// <summary>Its modules, as an archive to append.</summary>
    public string DriverModules => Require("debian-kernel/modules.cpio", "debian-kernel");

    /// <summary>e2fsprogs, nvme-cli and fio with their libraries, as an archive to append.</summary>
    public string DiskTools => Require("disks/tools.cpio", "disks");

    /// <summary>The image of a disk that BIOS and UEFI boot: Linux with its root file system, and the agent. Copy it.</summary>
    public string BootDisk => Require("disks/boot.img", "disks");

    /// <summary>UEFI's firmware for the machine.</summary>
    public string Uefi => Require("disks/OVMF.fd", "disks");

    /// <summary>The modules that a driver needs, in the order in which they are loaded.</summary>
    /// <param name="driver">One of <see cref="GuestOptions.Drivers"/>.</param>
    public string[] ModulesOf(string driver) => File.ReadAllLines(Require($"debian-kernel/drivers/{driver}", "debian-kernel"));

    /// <summary>
    /// Whether the guest runs the project's own kernel, which has iommufd and VFIO's device files; Debian's has not.
    /// </summary>
    public bool HasOwnKernel => File.ReadAllText(Require("kernel/kind", "kernel")).Trim() == "own";

    /// <summary>Fails unless the guest has the kernel with iommufd and VFIO's device files.</summary>
    /// <exception cref="QemuException">The kernel in the cache is Debian's.</exception>
    public void RequireOwnKernel()
    {
        if (!HasOwnKernel)
        {
            throw new QemuException(
                "This test needs a guest kernel with iommufd, and the one in the cache is Debian's. Run eng/guest/setup.sh build-kernel");
        }
    }

    /// <summary>Sets up what is missing when this program runs from a checkout; says nothing and takes no time when all is there.</summary>
    /// <param name="options">The guest, which may need more than others.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="QemuException">The script failed; what it said is on standard error.</exception>
    public static async Task CompleteAsync(GuestOptions options, CancellationToken cancellationToken)
    {
        if (FindSetup() is not { } script)
        {
            return;
        }

        using Process setup = Process.Start(new ProcessStartInfo(script, ["qemu", "initramfs", options.DiskTools ? "disks" : options.Drivers.Count > 0 ? "debian-kernel" : "kernel"]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        string output = await setup.StandardOutput.ReadToEndAsync(cancellationToken);
        await setup.WaitForExitAsync(cancellationToken);
        if (setup.ExitCode != 0)
        {
            throw new QemuException($"{script} could not set up the machine (status {setup.ExitCode}). {output}");
        }
    }

    /// <summary>The set-up script of the checkout that this program was built in, or null.</summary>
    private static string? FindSetup()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string script = Path.Combine(folder.FullName, "eng", "guest", "setup.sh");
            if (File.Exists(script))
            {
                return script;
            }
        }

        return null;
    }

    private static string FindCache()
    {
        if (Environment.GetEnvironmentVariable("VFIO_CACHE") is { Length: > 0 } cache)
        {
            return cache;
        }

        string root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home ? home : "/tmp", ".cache");
        return Path.Combine(root, "vfio.net");
    }

    private string Require(string path, string part)
    {
        string full = Path.Combine(_cache, path);
        return File.Exists(full)
            ? full
            : throw new QemuException($"{full} is missing. In a checkout of Vfio.NET run eng/guest/setup.sh {part} (./check does it).");
    }
}
