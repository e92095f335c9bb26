using System.Globalization;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>What sysfs shows of a <see cref="ProgramBus"/>; links are relative to sysfs' root.</summary>
internal static class PciTree
{
    public const string Driver = "vfio-pci";

    /// <summary>The directory of a function.</summary>
    public static string PathOf(ProgramFunction function) => $"devices/pci{function.Name.Domain:x4}:00/{function.Name}";

    /// <summary>The tree.</summary>
    public static VirtualDirectory Create(ProgramBus bus, IVirtualTree mdev) => Directory(string.Empty,
        Directory("bus",
            Directory("pci",
                new VirtualDirectory("devices", () => bus.Functions.Select(static function => new VirtualLink($"{function.Name}", PathOf(function)))),
                Directory("drivers", new VirtualDirectory(Driver, () => DriverNodes(bus))),
                WriteOnly("drivers_probe", text => ProbeAsync(bus, text))),
            Mounted(mdev, "bus/mdev")),
        new VirtualDirectory("devices", () => bus.Functions
            .GroupBy(static function => function.Name.Domain)
            .Select(static domain => new VirtualDirectory(
                string.Create(CultureInfo.InvariantCulture, $"pci{domain.Key:x4}:00"), () => domain.Select(static function => Function(function))))),
        Directory("kernel",
            new VirtualDirectory("iommu_groups", () => bus.Functions
                .Where(static function => function.Group is not null)
                .GroupBy(static function => function.Group!.Id)
                .OrderBy(static group => group.Key)
                .Select(static group => Directory(string.Create(CultureInfo.InvariantCulture, $"{group.Key}"),
                    Text("name", "vfio"),
                    Text("type", "DMA"),
                    Text("reserved_regions", string.Empty),
                    new VirtualDirectory("devices", () => group.Select(static function => new VirtualLink($"{function.Name}", PathOf(function)))))))),
        Directory("class",
            Mounted(mdev, "class/mdev_bus"),
            new VirtualDirectory("vfio-dev", () => Bound(bus).Select(static function => new VirtualLink(
                function.Device!.NodeName, $"{PathOf(function)}/vfio-dev/{function.Device!.NodeName}")))),
        Directory("module",
            Directory("vfio", Directory("parameters", new VirtualAttribute("enable_unsafe_noiommu_mode", () => bus.Host.Options.UnsafeNoIommu ? "Y\n" : "N\n"))),
            Directory("vfio_pci", Directory("parameters")),
            Directory("vfio_iommu_type1", Directory("parameters", new VirtualAttribute(
                "dma_entry_limit", () => string.Create(CultureInfo.InvariantCulture, $"{bus.Host.Options.DmaEntryLimit}\n")))),
            Directory("iommufd")));

    private static IEnumerable<ProgramFunction> Bound(ProgramBus bus) => bus.Functions.Where(static function => function.Device is not null);

    private static VirtualDirectory Function(ProgramFunction function) => new($"{function.Name}", () => Nodes(function));

    private static IEnumerable<VirtualNode> Nodes(ProgramFunction function)
    {
        yield return Number("vendor", () => function.ReadConfig(0x00, 2), 4);
        yield return Number("device", () => function.ReadConfig(0x02, 2), 4);
        yield return Number("subsystem_vendor", () => function.ReadConfig(0x2C, 2), 4);
        yield return Number("subsystem_device", () => function.ReadConfig(0x2E, 2), 4);
        yield return Number("class", () => function.ReadConfig(0x09, 3), 6);
        yield return Number("revision", () => function.ReadConfig(0x08, 1), 2);
        yield return new VirtualAttribute("resource", () => Resources(function));
        yield return new BinaryAttribute("config", function.ReadConfig);
        yield return new VirtualAttribute("modalias", () => Alias(function));
        yield return new VirtualAttribute("uevent", () => Event(function));
        yield return Text("irq", "0\n");
        yield return Text("numa_node", "-1\n");
        yield return Text("local_cpulist", $"0-{Environment.ProcessorCount - 1}\n");
        yield return Text("enable", "1\n");
        yield return Text("power_state", "D0\n");
        yield return new VirtualAttribute(
            "driver_override",
            () => function.DriverOverride.Length == 0 ? "(null)\n" : $"{function.DriverOverride}\n",
            text =>
            {
                function.DriverOverride = text.TrimEnd('\n');
                return Task.FromResult(IoResult.Success());
            });
        foreach (VirtualNode node in VirtualFunctions(function))
        {
            yield return node;
        }

        yield return new VirtualLink("subsystem", "bus/pci");
        if (function.Group is { } group)
        {
            yield return new VirtualLink("iommu_group", string.Create(CultureInfo.InvariantCulture, $"kernel/iommu_groups/{group.Id}"));
        }

        if (function.Device is { } device)
        {
            yield return new VirtualLink("driver", $"bus/pci/drivers/{Driver}");
            yield return Directory("vfio-dev", Directory(device.NodeName, Text("dev", $"{DeviceNumbers.Major}:{DeviceNumbers.MinorOf($"/dev/vfio/devices/{device.NodeName}")}\n")));
        }
    }

    /// <summary>What a function with virtual ones has, and these.</summary>
    private static IEnumerable<VirtualNode> VirtualFunctions(ProgramFunction function)
    {
        if (function.Physical is { } physical)
        {
            yield return new VirtualLink("physfn", PathOf(physical));
        }

        if (function.VirtualFunctionSet is not { } set)
        {
            yield break;
        }

        yield return Decimal("sriov_totalvfs", set.Limit);
        yield return Decimal("sriov_offset", set.FirstOffset);
        yield return Decimal("sriov_stride", set.Stride);
        yield return Text("sriov_vf_device", set.DeviceId.ToString("x4", CultureInfo.InvariantCulture) + "\n");
        yield return Text("sriov_drivers_autoprobe", "1\n");
        IReadOnlyList<ProgramFunction> functions = function.VirtualFunctions;
        yield return new VirtualAttribute(
            "sriov_numvfs",
            () => string.Create(CultureInfo.InvariantCulture, $"{function.VirtualFunctions.Count}\n"),
            async text => int.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int count)
                ? await function.TrySetVirtualFunctionsAsync(count)
                : Errno.EINVAL);
        for (int i = 0; i < functions.Count; i++)
        {
            yield return new VirtualLink(string.Create(CultureInfo.InvariantCulture, $"virtfn{i}"), PathOf(functions[i]));
        }
    }

    private static IEnumerable<VirtualNode> DriverNodes(ProgramBus bus)
    {
        foreach (ProgramFunction function in Bound(bus))
        {
            yield return new VirtualLink($"{function.Name}", PathOf(function));
        }

        yield return WriteOnly("bind", text => Task.FromResult(Bind(bus, text, checksDriver: true)));
        yield return WriteOnly("unbind", text => UnbindAsync(bus, text));
        yield return WriteOnly("new_id", static _ => Task.FromResult(IoResult.Success()));
        yield return WriteOnly("remove_id", static _ => Task.FromResult(IoResult.Success()));
        yield return new VirtualLink("module", "module/vfio_pci");
    }

    /// <summary>A function that has been named after another driver is not for this one.</summary>
    private static IoResult Bind(ProgramBus bus, string text, bool checksDriver)
    {
        if (Find(bus, text) is not { } function || (checksDriver && function.DriverOverride.Length > 0 && function.DriverOverride != Driver))
        {
            return Errno.ENODEV;
        }

        try
        {
            function.Bind();
            return IoResult.Success();
        }
        catch (VfioException exception)
        {
            return exception.Errno;
        }
    }

    private static async Task<IoResult> UnbindAsync(ProgramBus bus, string text)
    {
        if (Find(bus, text) is not { Device: not null } function)
        {
            return Errno.ENODEV;
        }

        await function.UnbindAsync();
        return IoResult.Success();
    }

    private static Task<IoResult> ProbeAsync(ProgramBus bus, string text)
    {
        IoResult result = Find(bus, text) is not { } function ? Errno.ENODEV
            : function.Device is not null || (function.DriverOverride.Length > 0 && function.DriverOverride != Driver) ? IoResult.Success()
            : Bind(bus, text, checksDriver: true);
        return Task.FromResult(result);
    }

    private static ProgramFunction? Find(ProgramBus bus, string text)
    {
        string name = text.Trim();
        return bus.Functions.FirstOrDefault(function => function.Name.ToString() == name);
    }

    // Start, end and flags of each resource; the addresses are ours, as nothing decodes them.
    private static string Resources(ProgramFunction function)
    {
        const int Lines = 17;
        StringBuilder text = new();
        for (int i = 0; i < Lines; i++)
        {
            (ulong start, ulong end, ulong flags) = i < function.Bars.Count ? Resource(function, i) : default;
            text.Append(CultureInfo.InvariantCulture, $"0x{start:x16} 0x{end:x16} 0x{flags:x16}\n");
        }

        return text.ToString();
    }

    private static (ulong Start, ulong End, ulong Flags) Resource(ProgramFunction function, int index)
    {
        const ulong Ports = 0x40101;
        const ulong Memory = 0x40200;
        const ulong Wide = 0x140204;
        ulong size = function.Bars[index].Size;
        if (size == 0)
        {
            return default;
        }

        uint register = function.ReadConfig(0x10 + (4 * index), 4);
        bool isPorts = (register & 1) != 0;
        ulong start = isPorts
            ? 0x1000 + (((ulong)function.Name.Device << 8) | ((ulong)index << 5))
            : 0xE000_0000_0000 + (((ulong)function.Name.Bus << 40) | ((ulong)function.Name.Device << 35) | ((ulong)index << 32));
        return (start, start + size - 1, isPorts ? Ports : (register & 6) == 4 ? Wide : Memory);
    }

    private static string Alias(ProgramFunction function) => string.Create(
        CultureInfo.InvariantCulture,
        $"pci:v{function.ReadConfig(0, 2):X8}d{function.ReadConfig(2, 2):X8}sv{function.ReadConfig(0x2C, 2):X8}sd{function.ReadConfig(0x2E, 2):X8}bc{function.ReadConfig(0x0B, 1):X2}sc{function.ReadConfig(0x0A, 1):X2}i{function.ReadConfig(0x09, 1):X2}\n");

    private static string Event(ProgramFunction function) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(function.Device is null ? string.Empty : "DRIVER=vfio-pci\n")}PCI_CLASS={function.ReadConfig(9, 3):X}\nPCI_ID={function.ReadConfig(0, 2):X4}:{function.ReadConfig(2, 2):X4}\nPCI_SUBSYS_ID={function.ReadConfig(0x2C, 2):X4}:{function.ReadConfig(0x2E, 2):X4}\nPCI_SLOT_NAME={function.Name}\nMODALIAS={Alias(function)}");

    private static VirtualDirectory Mounted(IVirtualTree tree, string path)
        => new(path[(path.LastIndexOf('/') + 1)..], () => (tree.Find(path) as VirtualDirectory)?.List() ?? []);

    private static VirtualDirectory Directory(string name, params VirtualNode[] nodes) => new(name, () => nodes);

    private static VirtualAttribute Text(string name, string text) => new(name, () => text);

    private static VirtualAttribute Decimal(string name, int value) => Text(name, string.Create(CultureInfo.InvariantCulture, $"{value}\n"));

    private static VirtualAttribute Number(string name, Func<uint> read, int digits)
        => new(name, () => $"0x{read().ToString($"x{digits}", CultureInfo.InvariantCulture)}\n");

    private static VirtualAttribute WriteOnly(string name, Func<string, Task<IoResult>> write) => new(name, null, write);
}
