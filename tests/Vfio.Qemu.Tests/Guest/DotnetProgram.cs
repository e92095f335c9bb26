using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary>
/// The tool for the guest: the very assemblies of this build with the .NET runtime that runs these tests and the C libraries that it needs.
/// Nothing is published for it, so a build costs nothing more, and the guest runs what the host tested.
/// </summary>
internal static class DotnetProgram
{
    private const string Root = "opt/dotnet";

    /// <summary>Starts the tool in the guest, with arguments behind.</summary>
    public const string Command = "DOTNET_ROOT=/opt/dotnet DOTNET_TieredPGO=0 DOTNET_TC_CallCounting=0 /opt/dotnet/dotnet /opt/vfio/Vfio.Tool.dll";

    /// <summary>The memory that a guest with it needs, in MiB.</summary>
    public const int Memory = 768;

    /// <summary>The tool's files and what they need. For <see cref="Vfio.Tool.Qemu.GuestOptions.Files"/>.</summary>
    public static IReadOnlyDictionary<string, string> Files { get; } = Collect();

    private static Dictionary<string, string> Collect()
    {
        string runtime = RuntimeEnvironment.GetRuntimeDirectory().TrimEnd('/');
        string version = Path.GetFileName(runtime);
        string installation = Path.GetFullPath(Path.Combine(runtime, "../../.."));
        string host = Path.Combine("host/fxr", version);
        Dictionary<string, string> files = new(StringComparer.Ordinal)
        {
            [$"{Root}/dotnet"] = Path.Combine(installation, "dotnet"),
            [$"{Root}/{host}"] = Path.Combine(installation, host),
        };
        foreach (string file in Directory.EnumerateFiles(runtime).Where(static file => IsNeeded(Path.GetFileName(file))))
        {
            files[$"{Root}/shared/Microsoft.NETCore.App/{version}/{Path.GetFileName(file)}"] = file;
        }

        string tool = Path.GetDirectoryName(ToolProcess.Executable)!;
        foreach (string file in Directory.EnumerateFiles(tool).Where(static file => Path.GetExtension(file) is ".dll" or ".json"))
        {
            files[$"opt/vfio/{Path.GetFileName(file)}"] = file;
        }

        foreach (string library in Libraries([Path.Combine(installation, "dotnet"), Path.Combine(runtime, "libcoreclr.so"), Path.Combine(runtime, "libSystem.Native.so")]))
        {
            files[library.TrimStart('/')] = library;
        }

        return files;
    }

    /// <summary>The initramfs is memory: what debuggers, XML, data and Visual Basic need stays outside.</summary>
    private static bool IsNeeded(string name)
        => !name.StartsWith("libmscordac", StringComparison.Ordinal)
            && !name.StartsWith("libmscordbi", StringComparison.Ordinal)
            && !name.StartsWith("libclrgc", StringComparison.Ordinal)
            && !name.StartsWith("libcoreclrtraceptprovider", StringComparison.Ordinal)
            && !name.StartsWith("Microsoft.VisualBasic", StringComparison.Ordinal)
            && !name.StartsWith("System.Private.Xml", StringComparison.Ordinal)
            && !name.StartsWith("System.Private.DataContract", StringComparison.Ordinal)
            && !name.StartsWith("System.Data", StringComparison.Ordinal)
            && name is not ("System.Linq.Expressions.dll" or "System.Net.Http.dll" or "System.Linq.AsyncEnumerable.dll");

    /// <summary>The shared libraries of programs, as the loader finds them here, and the loader.</summary>
    private static IEnumerable<string> Libraries(string[] programs)
    {
        using Process ldd = Process.Start(new ProcessStartInfo("ldd", programs) { RedirectStandardOutput = true })!;
        string output = ldd.StandardOutput.ReadToEnd();
        ldd.WaitForExit();
        return output.Split([' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Where(static word => word.StartsWith('/') && !word.EndsWith(':') && Path.GetFileName(word).Contains(".so", StringComparison.Ordinal))
            .Distinct();
    }
}
