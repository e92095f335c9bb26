using System.Text.RegularExpressions;
using Vfio.Testing;
using Vfio.TestUtilities;
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
    public void Device_in_the_authors_guide_is_the_one_that_is_compiled()
    {
        string source = File.ReadAllText(Path.Combine(Folder(), "ChecksumDevice.cs"));
        string guide = File.ReadAllText(Path.Combine(Checkout.Root, "docs/device-author.md"));
        Assert.Contains(Snippet(guide, "## A PCI device in five steps").Trim(), source, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Device_in_the_authors_guide_computes_a_checksum()
    {
        await using DevicePair<ChecksumDevice> pair = DevicePair.OverSocket(static () => new ChecksumDevice());
        using InterruptSet interrupts = pair.Connection.EnableInterrupts(PciInterrupt.Msi);
        using DmaBuffer buffer = pair.Connection.AllocateDma(4096);
        buffer.Span[..100].Fill(7);
        pair.Connection.Bar(0).Write64(0x00, buffer.Iova);
        pair.Connection.Bar(0).Write32(0x08, 200);
        await interrupts[0].WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(700u, pair.Connection.Bar(0).Read32(0x0C));
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
        string root = Checkout.Root;
        foreach (Match link in Regex.Matches(File.ReadAllText(Path.Combine(root, "README.md")), @"\]\(([^)#:]+)\)"))
        {
            string target = Path.Combine(root, link.Groups[1].Value);
            Assert.True(File.Exists(target) || Directory.Exists(target), $"The README links {link.Groups[1].Value}, which is not there.");
        }
    }

    private static string Folder() => Checkout.File("tests/Vfio.Architecture.Tests/Readme");

    private static string Snippet(string heading) => Snippet(File.ReadAllText(Path.Combine(Checkout.Root, "README.md")), heading);

    private static string Snippet(string text, string heading)
    {
        string section = text[text.IndexOf(heading, StringComparison.Ordinal)..];
        int start = section.IndexOf("```csharp\n", StringComparison.Ordinal) + "```csharp\n".Length;
        return section[start..section.IndexOf("```", start, StringComparison.Ordinal)];
    }

    private static string[] Body(string text)
        => [.. text.Split('\n').Select(static line => line.Split("//")[0].Trim()).Where(static line => line.Length > 0)];
}
