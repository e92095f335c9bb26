using System.Collections.Concurrent;
using System.Diagnostics;
using Vfio.TestUtilities;

namespace Vfio.Run.Tests;

/// <summary>The C programs of these tests, compiled by gcc once.</summary>
internal static class TestPrograms
{
    private static readonly DirectoryInfo s_folder = MakeFolder();
    private static readonly ConcurrentDictionary<(string Name, bool IsStatic), Lazy<string>> s_built = new();

    /// <summary>A program; its file can be executed by everybody.</summary>
    public static string Get(string name, bool isStatic = false)
        => s_built.GetOrAdd((name, isStatic), static key => new Lazy<string>(() => Build(key.Name, key.IsStatic))).Value;

    /// <summary>A folder that everybody can read.</summary>
    public static string Folder => s_folder.FullName;

    private static string Build(string name, bool isStatic)
    {
        string output = Path.Combine(s_folder.FullName, isStatic ? $"{name}-static" : name);
        List<string> arguments = ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-mmmx", "-msse4.2", "-o", output, Checkout.File($"tests/Vfio.Run.Tests/Programs/{name}.c")];
        if (Environment.GetEnvironmentVariable("VFIO_UAPI_HEADERS") is { Length: > 0 } headers)
        {
            arguments.InsertRange(0, ["-isystem", headers]);
        }

        if (isStatic)
        {
            arguments.Insert(0, "-static");
        }

        using Process gcc = Process.Start(new ProcessStartInfo("gcc", arguments) { RedirectStandardError = true })!;
        string error = gcc.StandardError.ReadToEnd();
        gcc.WaitForExit();
        Assert.True(gcc.ExitCode == 0, error);
        return output;
    }

    private static DirectoryInfo MakeFolder()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vfio-programs-");
        if (!OperatingSystem.IsWindows())
        {
            folder.UnixFileMode |= UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
        }

        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Delete(recursive: true);
        return folder;
    }
}
