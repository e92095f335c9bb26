using System.Text;

namespace Vfio.Run;

/// <summary>The paths that are ours: sysfs' PCI part and the device nodes. All others belong to the system.</summary>
/// <remarks>A directory that is ours hides the system's of that name; those above are the system's, with ours in them.</remarks>
internal sealed class ProgramTree
{
    /// <summary>Directories of which the system's content is never seen.</summary>
    private static readonly string[] s_owned =
    [
        "/sys/bus/pci", "/sys/bus/mdev", "/sys/kernel/iommu_groups", "/sys/class/mdev_bus", "/sys/class/vfio-dev", "/sys/module/vfio", "/sys/module/vfio_pci",
        "/sys/module/vfio_iommu_type1", "/sys/module/iommufd", "/dev/vfio",
    ];

    private const int MaximumLinks = 40;
    private readonly VirtualDirectory _root;

    /// <param name="bus">The PCI functions.</param>
    public ProgramTree(ProgramBus bus)
    {
        VirtualDirectory sysfs = PciTree.Create(bus, bus.Host.MdevTree);
        _root = new VirtualDirectory(string.Empty, () => [sysfs with { Name = "sys" }, new VirtualDirectory("dev", () => Nodes(bus.Host))]);
    }

    /// <summary>Whether a path could lead to something of ours, by its beginning.</summary>
    public static bool MayHold(string path)
        => path.StartsWith("/sys", StringComparison.Ordinal) || path.StartsWith("/dev", StringComparison.Ordinal) || path.Contains("..", StringComparison.Ordinal)
            || path.Contains("//", StringComparison.Ordinal) || path.Contains("/./", StringComparison.Ordinal);

    /// <summary>Finds what an absolute path names.</summary>
    /// <param name="path">The path; links in it are followed.</param>
    /// <param name="follows">Whether a link at its end is followed too.</param>
    public Resolution Resolve(string path, bool follows)
    {
        List<VirtualNode> walked = [_root];
        Stack<string> left = new(path.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse());
        int links = 0;
        while (left.TryPop(out string? name))
        {
            if (name == ".")
            {
                continue;
            }

            if (name == "..")
            {
                walked.RemoveRange(walked.Count - 1, walked.Count > 1 ? 1 : 0);
                continue;
            }

            if (walked[^1] is not VirtualDirectory directory)
            {
                return new Resolution(ResolutionKind.NotADirectory, null, PathOf(walked));
            }

            VirtualNode? node = directory.List().FirstOrDefault(child => child.Name == name);
            switch (node)
            {
                case null when IsOwned(PathOf(walked)):
                    return new Resolution(ResolutionKind.Missing, null, $"{PathOf(walked)}/{name}");
                case null:
                    // The system's: what is in it is not ours, but the way may lead back.
                    walked.Add(new VirtualDirectory(name, static () => []));
                    break;
                case VirtualLink link when left.Count > 0 || follows:
                    if (++links > MaximumLinks)
                    {
                        return new Resolution(ResolutionKind.TooManyLinks, null, PathOf(walked));
                    }

                    walked = [_root];
                    foreach (string part in $"sys/{link.Target}".Split('/').Reverse())
                    {
                        left.Push(part);
                    }

                    break;
                default:
                    walked.Add(node);
                    break;
            }
        }

        string found = PathOf(walked);

        // What the system has too, with ours in it, is the system's.
        bool isSystems = walked[^1] is VirtualDirectory && !IsOwned(found) && !IsFunction(found);
        return new Resolution(isSystems ? ResolutionKind.Systems : ResolutionKind.Found, walked[^1], found);
    }

    /// <summary>What a link says: relative to where it stands.</summary>
    public static string TextOf(string linkPath, VirtualLink link)
    {
        // A link directly in /sys would need none; each directory between costs one step up.
        int depth = linkPath.Count(static letter => letter == '/') - 2;
        StringBuilder text = new();
        for (int i = 0; i < depth; i++)
        {
            text.Append("../");
        }

        return text.Append(link.Target).ToString();
    }

    private static IEnumerable<VirtualNode> Nodes(VfioHost host) =>
    [
        new DeviceNode("iommu"),
        new VirtualDirectory("vfio", () =>
        [
            new DeviceNode("vfio"),
            .. host.Groups.Where(static group => group.Devices.Count > 0).Select(static group => new DeviceNode(group.NodeName)),
            new VirtualDirectory("devices", () => host.Devices.Select(static device => new DeviceNode(device.NodeName))),
        ]),
    ];

    private static bool IsOwned(string path)
        => Array.Exists(s_owned, owned => path.StartsWith(owned, StringComparison.Ordinal) && (path.Length == owned.Length || path[owned.Length] == '/')) || IsFunction(path);

    /// <summary>A function's directory, or something in it.</summary>
    private static bool IsFunction(string path)
    {
        const string Devices = "/sys/devices/pci";
        return path.StartsWith(Devices, StringComparison.Ordinal) && path.IndexOf('/', Devices.Length) >= 0;
    }

    private static string PathOf(List<VirtualNode> walked) => string.Join('/', walked.Select(static node => node.Name));
}

/// <summary>What became of a path.</summary>
/// <param name="Kind">Whose it is.</param>
/// <param name="Node">What it names, when it is ours and there.</param>
/// <param name="Path">Its path without links and dots, as far as it was followed.</param>
internal readonly record struct Resolution(ResolutionKind Kind, VirtualNode? Node, string Path);

internal enum ResolutionKind
{
    /// <summary>The system's own.</summary>
    Systems,

    /// <summary>Ours.</summary>
    Found,

    /// <summary>It would be ours, and is not there.</summary>
    Missing,
    NotADirectory,
    TooManyLinks,
}
