using System.Text.RegularExpressions;
using Vfio.User;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>The README's first screen is compiled and does what it says.</summary>
public sealed class ReadmeTests
{
    [Fact]
    public void Device_in_the_readme_is_the_one_that_is_compiled()
    {
        string source = File.ReadAllText(Path.Combine(Folder(), "DoublerDevice.cs"));
        Assert.Contains(Snippet("## A device").Trim(), source, StringComparison.Ordinal);
    }

    [Fact]
    public void Driver_in_the_readme_is_the_one_that_is_run()
    {
        string source = File.ReadAllText(Path.Combine(Folder(), "ReadmeTests.cs"));
        string[] own = Body(source[source.LastIndexOf("// README: driver", StringComparison.Ordinal)..]);
        string[] readme = [.. Body(Snippet("## A driver")).Select(static line => Regex.Replace(line, "\"unix:[^\"]*\"", "address").Replace("Console.WriteLine(device.Bar(0).Read32(0x04));", "uint answer = device.Bar(0).Read32(0x04);", StringComparison.Ordinal))];
        Assert.Equal(readme, own[..readme.Length]);
    }

    [Theory]
    [InlineData("local")]
    [InlineData("unix")]
    public async Task Driver_drives_the_device(string scheme)
    {
        string path = Path.Combine(Path.GetTempPath(), $"vfio-readme-{Guid.NewGuid():n}.sock");
        await using VfioHost host = new();
        DoublerDevice doubler = host.Allocate(static () => new DoublerDevice());
        await using VfioRegistration registration = host.RegisterEmulatedIommuDevice(doubler, "doubler0");
        await using VfioUserServer server = VfioUserServer.Listen(host, "doubler0", path);
        Assert.Equal(42u, await DriveAsync(host, scheme == "local" ? "local:doubler0" : $"unix:{path}"));
    }

    private static async Task<uint> DriveAsync(VfioHost host, string address)
    {
        // README: driver
        VfioConnector connector = new(new LocalTransport(host), new UnixTransport());
        await using VfioConnection device = await connector.ConnectAsync(address);
        using InterruptSet interrupts = device.EnableInterrupts(PciInterrupt.Msi);
        device.Bar(0).Write32(0x04, 21);
        await interrupts[0].WaitAsync();
        uint answer = device.Bar(0).Read32(0x04);
        return answer;
    }

    [Fact]
    public void Folders_and_files_that_the_readme_links_exist()
    {
        string root = Root();
        foreach (Match link in Regex.Matches(File.ReadAllText(Path.Combine(root, "README.md")), @"\]\(([^)#:]+)\)"))
        {
            string target = Path.Combine(root, link.Groups[1].Value);
            Assert.True(File.Exists(target) || Directory.Exists(target), $"The README links {link.Groups[1].Value}, which is not there.");
        }
    }

    private static string Folder() => Path.Combine(Root(), "tests/Vfio.Architecture.Tests/Readme");

    /// <summary>The checkout, found from the build output, which is inside it.</summary>
    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Vfio.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("The tests do not run from a checkout.");
    }

    private static string Snippet(string heading)
    {
        string readme = File.ReadAllText(Path.Combine(Root(), "README.md"));
        string section = readme[readme.IndexOf(heading, StringComparison.Ordinal)..];
        int start = section.IndexOf("```csharp\n", StringComparison.Ordinal) + "```csharp\n".Length;
        return section[start..section.IndexOf("```", start, StringComparison.Ordinal)];
    }

    private static string[] Body(string text)
        => [.. text.Split('\n').Select(static line => line.Split("//")[0].Trim()).Where(static line => line.Length > 0)];
}
