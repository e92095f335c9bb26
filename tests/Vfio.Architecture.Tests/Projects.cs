using System.Xml.Linq;
using Vfio.TestUtilities;

namespace Vfio.Architecture.Tests;

/// <summary>The projects of the product: everything below <c>src</c>, <c>devices</c> and <c>drivers</c> but tests.</summary>
internal static class Projects
{
    /// <summary>The design's table of parts: what a part may refer to. What a reference brings along may be used too.</summary>
    private static readonly Dictionary<string, string[]> s_parts = new(StringComparer.Ordinal)
    {
        ["Vfio.Abi"] = [],
        ["Vfio.Linux"] = ["Vfio.Abi"],
        ["Vfio.Iommu"] = ["Vfio.Linux"],
        ["Vfio.Iommu.Testing"] = ["Vfio.Iommu"],
        ["Vfio"] = ["Vfio.Iommu"],
        ["Vfio.Pci"] = ["Vfio", "Vfio.Pci.Generators"],
        ["Vfio.Pci.Generators"] = [],
        ["Vfio.User"] = ["Vfio"],
        ["Vfio.Kernel"] = ["Vfio"],
        ["Vfio.Run"] = ["Vfio.Pci"],
        ["Vfio.Testing"] = ["Vfio.Pci", "Vfio.User"],
    };

    /// <summary>Packages that are a part's means and no abstraction: the decoder of instructions that access trapped registers.</summary>
    public static IReadOnlyDictionary<string, string[]> Packages { get; } = new Dictionary<string, string[]>(StringComparer.Ordinal)
    {
        ["Vfio.Run"] = ["Iced"],
    };

    /// <summary>The project files.</summary>
    public static IReadOnlyList<string> Files { get; } =
    [
        .. new[] { "src", "devices", "drivers" }
            .SelectMany(static part => Directory.GetFiles(Checkout.File(part), "*.csproj", SearchOption.AllDirectories))
            .Where(static file => !file.EndsWith(".Tests.csproj", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal),
    ];

    public static string Name(string file) => Path.GetFileNameWithoutExtension(file);

    /// <summary>The parts that a project may name in its project file; null for any (the tool).</summary>
    public static string[]? Allowed(string name)
    {
        if (name == "Vfio.Tool")
        {
            return null;
        }

        return s_parts.TryGetValue(name, out string[]? allowed) ? allowed
            : name.StartsWith("Vfio.Devices.", StringComparison.Ordinal) ? ["Vfio.Pci"]
            : name.StartsWith("Vfio.Drivers.", StringComparison.Ordinal) ? ["Vfio"]
            : throw new InvalidOperationException($"{name} is in no row of the table of parts: add it there, and to the design.");
    }

    /// <summary>What a project may use: what it may name, and what that brings along.</summary>
    public static HashSet<string>? Usable(string name)
    {
        if (Allowed(name) is not { } direct)
        {
            return null;
        }

        HashSet<string> usable = new(direct, StringComparer.Ordinal);
        foreach (string part in direct)
        {
            usable.UnionWith(Usable(part)!);
        }

        return usable;
    }

    public static IEnumerable<string> References(string file) => XDocument.Load(file).Descendants("ProjectReference")
        .Select(static reference => Name(reference.Attribute("Include")!.Value));
}
