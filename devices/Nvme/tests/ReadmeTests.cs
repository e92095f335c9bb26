using Vfio.TestUtilities;

namespace Vfio.Devices.Nvme.Tests;

public sealed class ReadmeTests
{
    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        (string expected, string actual) = RegisterTable.Read("devices/Nvme/README.md", ControllerRegisters.RegistersMarkdown);
        Assert.Equal(expected, actual);
    }
}
