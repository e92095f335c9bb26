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
            ToolResult result = await ToolProcess.RunProgramAsync("lspci", ["-F", file, .. options]);
            Assert.True(result.Status == 0 && result.Output.Length > 0, $"lspci read nothing from the dump: {result.Error}{dump}");
            return result.Output;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
