using Vfio.TestUtilities;

namespace Vfio.Devices.Nvme.Tests;

public sealed class ReadmeTests
{
    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        const string Start = "<!-- registers -->\n";
        const string End = "<!-- end of registers -->";
        string path = Checkout.File("devices/Nvme/README.md");
        string readme = File.ReadAllText(path);
        int start = readme.IndexOf(Start, StringComparison.Ordinal) + Start.Length;
        string expected = readme[..start] + ControllerRegisters.RegistersMarkdown + readme[readme.IndexOf(End, StringComparison.Ordinal)..];

        // VFIO_UPDATE_DOCS=1 writes the table; the comparison always follows.
        if (Environment.GetEnvironmentVariable("VFIO_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, expected);
        }

        Assert.Equal(expected, File.ReadAllText(path));
    }
}
