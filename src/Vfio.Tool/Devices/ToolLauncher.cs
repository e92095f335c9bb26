namespace Vfio.Tool.Devices;

/// <summary>How this executable is started again, to become a program that is supervised.</summary>
internal static class ToolLauncher
{
    public static IReadOnlyList<string> Find()
    {
        string executable = Environment.ProcessPath ?? throw new InvalidOperationException("This process has no executable.");
        return Path.GetFileNameWithoutExtension(executable) == "dotnet" ? [executable, Path.Combine(AppContext.BaseDirectory, "Vfio.Tool.dll")] : [executable];
    }
}
