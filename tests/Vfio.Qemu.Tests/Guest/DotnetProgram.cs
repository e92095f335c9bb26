using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Vfio.TestUtilities;

namespace Vfio.Qemu.Tests;

/// <summary>
/// A program of this build for the guest: its very assemblies, with the .NET runtime that runs these tests and the C libraries that it
/// needs. Nothing is published for it, so a build costs nothing more, and the guest runs what the host tested.
/// </summary>
internal sealed class DotnetProgram
{
    /// <summary>The memory that a guest with programs needs, in MiB.</summary>
    public const int Memory = 768;

    private const string Root = "opt/dotnet";
    private static readonly Lazy<Dictionary<string, string>> s_runtime = new(CollectRuntime);
    private readonly string _assembly;

    private DotnetProgram(string project) => _assembly = Checkout.File($"artifacts/bin/{project}/release/{project}.dll");

    /// <summary>The tool.</summary>
    public static DotnetProgram Tool { get; } = new("Vfio.Tool");

    /// <summary>The tests that run inside the guest.</summary>
    public static DotnetProgram GuestTests { get; } = new("Vfio.Guest");

    /// <summary>The scenarios that are compared between a kernel and the core.</summary>
    public static DotnetProgram Differential { get; } = new("Vfio.Differential");

    /// <summary>Starts the program in the guest, with arguments behind.</summary>
    public string Command => $"DOTNET_ROOT=/{Root} DOTNET_TieredPGO=0 DOTNET_TC_CallCounting=0 /{Root}/dotnet /{GuestPath(_assembly)}";

    /// <summary>What programs need in the guest, the runtime once. For <see cref="GuestOptions.Files"/>.</summary>
    public static IReadOnlyDictionary<string, string> FilesOf(params IEnumerable<DotnetProgram> programs)
    {
        Dictionary<string, string> files = new(s_runtime.Value, StringComparer.Ordinal);
        foreach (DotnetProgram program in programs)
        {
            foreach (string file in Directory.EnumerateFiles(Path.GetDirectoryName(program._assembly)!).Where(static file => Path.GetExtension(file) is ".dll" or ".json"))
            {
                files[program.GuestPath(file)] = file;
            }
        }

        return files;
    }

    private static Dictionary<string, string> CollectRuntime()
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

        string[] cryptography = LoadedCryptography();
        foreach (string library in Libraries([Path.Combine(installation, "dotnet"), Path.Combine(runtime, "libcoreclr.so"), Path.Combine(runtime, "libSystem.Native.so"), .. cryptography]).Concat(cryptography))
        {
            files[library.TrimStart('/')] = library;
        }

        return files;
    }

    /// <summary>The initramfs is memory: what debuggers, data and Visual Basic need stays outside.</summary>
    private static bool IsNeeded(string name)
        => !name.StartsWith("libmscordac", StringComparison.Ordinal)
            && !name.StartsWith("libmscordbi", StringComparison.Ordinal)
            && !name.StartsWith("libclrgc", StringComparison.Ordinal)
            && !name.StartsWith("libcoreclrtraceptprovider", StringComparison.Ordinal)
            && !name.StartsWith("Microsoft.VisualBasic", StringComparison.Ordinal)
            && !name.StartsWith("System.Private.DataContract", StringComparison.Ordinal)
            && !name.StartsWith("System.Data", StringComparison.Ordinal)
            && name is not ("System.Net.Http.dll" or "System.Linq.AsyncEnumerable.dll");

    /// <summary>OpenSSL, which xunit takes its identifiers from: the libraries that this process has for it.</summary>
    private static string[] LoadedCryptography()
    {
        _ = SHA256.HashData([]);
        return
        [
            .. File.ReadLines("/proc/self/maps")
                .Select(static line => line[(line.LastIndexOf(' ') + 1)..])
                .Where(static path => Path.GetFileName(path).StartsWith("libssl", StringComparison.Ordinal) || Path.GetFileName(path).StartsWith("libcrypto", StringComparison.Ordinal))
                .Distinct(),
        ];
    }

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

    private string GuestPath(string file) => $"opt/{Path.GetFileNameWithoutExtension(_assembly)}/{Path.GetFileName(file)}";
}
