using System.Diagnostics;
using Vfio.TestUtilities;

namespace Vfio.Qemu.Tests;

/// <summary>Small programs of ours for the guest, compiled by the host's gcc when a test first needs one.</summary>
internal static class GuestPrograms
{
    private static readonly Lazy<string> s_pcimem = new(static () => Compile("pcimem"));

    /// <summary>Accesses a memory BAR through sysfs; see <c>pcimem.c</c>. For <see cref="Vfio.Tool.Qemu.GuestOptions.Files"/>.</summary>
    public static IReadOnlyDictionary<string, string> Pcimem => new Dictionary<string, string>(StringComparer.Ordinal) { ["bin/pcimem"] = s_pcimem.Value };

    private static string Compile(string name)
    {
        string output = Checkout.File($"artifacts/guest/{name}");
        Directory.CreateDirectory(Path.GetDirectoryName(output)!);
        using Process gcc = Process.Start("gcc", ["-O2", "-Wall", "-Werror", "-static", "-o", output, Checkout.File($"tests/Vfio.Qemu.Tests/Guest/{name}.c")]);
        gcc.WaitForExit();
        Assert.True(gcc.ExitCode == 0, $"gcc could not build {name} for the guest.");
        return output;
    }
}
