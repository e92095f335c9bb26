using System.Globalization;

namespace Vfio.Kernel.Tests;

/// <summary>
/// A folder that looks like a kernel's <c>/sys</c>, <c>/dev</c> and <c>/proc</c>. As made, it is one on which every function that is bound to
/// vfio-pci can be opened; a test takes away what it is about.
/// </summary>
internal sealed class FakeKernel : IDisposable
{
    public const string Edu = "0000:00:04.0";

    public FakeKernel()
    {
        Files = new KernelFiles(Directory.CreateTempSubdirectory("vfio-kernel-").FullName);
        Directory.CreateDirectory(Path("sys/kernel/iommu_groups"));
        AddDriver("vfio-pci");
        Write("sys/bus/pci/drivers_probe", "");
        Write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
        Write("dev/iommu", "");
        Write("dev/vfio/vfio", "");
        SetLockedMemory("unlimited", hasCapability: false);
    }

    public KernelFiles Files { get; }

    public PciSysfs Sysfs => new(Files);

    public KernelDoctor Doctor => new(Files);

    public static PciAddress Address(string text) => PciAddress.TryParse(text, out PciAddress address) ? address : throw new FormatException(text);

    public string Path(string path) => System.IO.Path.Combine(Files.Root, path);

    public string Read(string path) => File.ReadAllText(Path(path));

    public void Write(string path, string text)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path(path))!);
        File.WriteAllText(Path(path), text);
    }

    public void Link(string path, string target)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path(path))!);
        File.Delete(Path(path));
        File.CreateSymbolicLink(Path(path), target);
    }

    public void AddDriver(string name)
    {
        Write($"sys/bus/pci/drivers/{name}/unbind", "");
        Write($"sys/bus/pci/drivers/{name}/bind", "");
    }

    /// <summary>Adds a function; one that vfio-pci has gets its nodes.</summary>
    public void AddFunction(string address, string? driver, int? group, ushort vendor = 0x1234, ushort device = 0x11e8, uint classCode = 0x00ff00)
    {
        string folder = $"sys/bus/pci/devices/{address}";
        Write($"{folder}/vendor", string.Create(CultureInfo.InvariantCulture, $"0x{vendor:x4}\n"));
        Write($"{folder}/device", string.Create(CultureInfo.InvariantCulture, $"0x{device:x4}\n"));
        Write($"{folder}/class", string.Create(CultureInfo.InvariantCulture, $"0x{classCode:x6}\n"));
        Write($"{folder}/driver_override", "(null)\n");
        if (driver is not null)
        {
            AddDriver(driver);
            Link($"{folder}/driver", $"../../../../bus/pci/drivers/{driver}");
        }

        if (group is not null)
        {
            Link($"{folder}/iommu_group", $"../../../../kernel/iommu_groups/{group}");
            Link($"sys/kernel/iommu_groups/{group}/devices/{address}", $"../../../../bus/pci/devices/{address}");
            if (driver == "vfio-pci")
            {
                Write($"{folder}/vfio-dev/vfio{group}/dev", "511:0\n");
                Write($"dev/vfio/devices/vfio{group}", "");
                Write($"dev/vfio/{group}", "");
            }
        }
    }

    public void SetLockedMemory(string limit, bool hasCapability, int lockedKibibytes = 0)
    {
        Write("proc/self/limits", $"Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         {limit,-20} {limit,-20} bytes\n");
        Write("proc/self/status", $"Name:\tx\nVmLck:\t{lockedKibibytes,8} kB\nVmPin:\t{lockedKibibytes,8} kB\nCapEff:\t{(hasCapability ? "000001ffffffffff" : "0000000000000000")}\n");
    }

    /// <summary>Makes a node that may not be opened, for root either: an attribute that cannot be written.</summary>
    public void Forbid(string path) => Link(path, "/sys/kernel/uevent_seqnum");

    public void Dispose() => Directory.Delete(Files.Root, recursive: true);
}
