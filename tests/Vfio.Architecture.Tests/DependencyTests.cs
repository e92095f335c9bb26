using System.Reflection;
using System.Xml.Linq;

namespace Vfio.Architecture.Tests;

/// <summary>References go only downwards.</summary>
public sealed class DependencyTests
{
    public static TheoryData<string> Names => [.. Projects.Files.Select(Projects.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Project_names_only_parts_below_it(string name)
    {
        if (Projects.Allowed(name) is { } allowed)
        {
            Assert.Subset(allowed.ToHashSet(StringComparer.Ordinal), Projects.References(File(name)).ToHashSet(StringComparer.Ordinal));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Assembly_uses_only_parts_below_it(string name)
    {
        string file = Path.Combine(AppContext.BaseDirectory, $"{name}.dll");
        Assert.True(System.IO.File.Exists(file), $"{name} is not in the output of these tests: let the tool or this project refer to it.");
        HashSet<string> used = Assembly.LoadFrom(file).GetReferencedAssemblies().Select(static reference => reference.Name!)
            .Where(static reference => reference == "Vfio" || reference.StartsWith("Vfio.", StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
        if (Projects.Usable(name) is { } usable)
        {
            Assert.Subset(usable, used);
        }
    }

    /// <summary>Exporters, hosting and consoles live in the tool; the libraries know abstractions at most.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Library_takes_no_package_but_abstractions(string name)
    {
        // The generator is a part of the compiler while it runs, and of nothing afterwards.
        if (name is not ("Vfio.Tool" or "Vfio.Pci.Generators"))
        {
            IEnumerable<string> packages = XDocument.Load(File(name)).Descendants("PackageReference").Select(static package => package.Attribute("Include")!.Value);
            string[] means = Projects.Packages.GetValueOrDefault(name, []);
            Assert.All(packages.Except(means, StringComparer.Ordinal), static package => Assert.EndsWith(".Abstractions", package, StringComparison.Ordinal));
        }
    }

    private static string File(string name) => Projects.Files.Single(file => Projects.Name(file) == name);
}
