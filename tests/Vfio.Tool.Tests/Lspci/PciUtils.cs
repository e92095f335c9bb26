namespace Vfio.Tool.Tests.Lspci;

/// <summary>The lspci of this machine, reading a dump. A machine without it fails the test: <c>./check</c> installs pciutils.</summary>
internal static class PciUtils
{
    public static async Task<string> DecodeAsync(string dump, params string[] options)
    {
        string file = Path.Combine(Path.GetTempPath(), $"vfio-lspci-{Guid.NewGuid():n}");
        await File.WriteAllTextAsync(file, dump);
        try
        {
            // "Unable to load libkmod resources" on standard error is about naming kernel drivers.
            // udev's database, on machines that have it, gives a board the name of the chip that it is on: pci.ids alone is what we read.
            ToolResult result = await ToolProcess.RunProgramAsync("lspci", ["-O", "hwdb.disable=1", "-F", file, .. options]);
            Assert.True(result.Status == 0 && result.Output.Length > 0, $"lspci read nothing from the dump: {result.Error}{dump}");
            return result.Output;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
