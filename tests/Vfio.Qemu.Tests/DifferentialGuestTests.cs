using System.Formats.Tar;
using System.IO.Compression;
using Vfio.Differential;
using Vfio.TestUtilities;

namespace Vfio.Qemu.Tests;

/// <summary>The scenarios of <c>Vfio.Differential</c> on the guest's kernel, whose results are stored in the tree.</summary>
[Collection(KernelCollection.Name)]
public sealed class DifferentialGuestTests
{
    [Fact]
    public async Task Kernel_answers_scenarios_as_it_is_stored()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using ServedModels models = new();
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            // Of the slowest kind: the kernel waits for the link of faster ones after a reset, and QEMU shows none below a vfio-user function.
            Arguments = ["-device", "pcie-root-port,id=rp0,chassis=1,slot=1,x-speed=2_5"],
            Memory = DotnetProgram.Memory,
            Devices = models.Devices,
            Files = DotnetProgram.FilesOf(DotnetProgram.Differential),
        });
        foreach (Target target in Targets.All)
        {
            await guest.BindAsync(Targets.Address(target), "vfio-pci");
        }

        GuestResult run = await guest.TryRunAsync($"{DotnetProgram.Differential.Command} kernel /tmp/differential 2>&1", TimeSpan.FromSeconds(300));
        Assert.True(run.Status == 0, run.Output + guest.ConsoleLog);
        Directory.CreateDirectory(Checkout.File("artifacts/differential"));
        await File.WriteAllTextAsync(Checkout.File("artifacts/differential/console.log"), $"{run.Output}\n{await guest.RunAsync("dmesg")}");
        string packed = await guest.RunAsync("tar -C /tmp/differential -cz . | base64 -w 0");
        string answered = Checkout.File("artifacts/differential/kernel");
        if (Directory.Exists(answered))
        {
            Directory.Delete(answered, recursive: true);
        }

        Directory.CreateDirectory(answered);
        await using (var stream = new GZipStream(new MemoryStream(Convert.FromBase64String(packed)), CompressionMode.Decompress))
        {
            await TarFile.ExtractToDirectoryAsync(stream, answered, overwriteFiles: true);
        }

        string version = await guest.RunAsync("uname -r | cut -d- -f1");
        if (Environment.GetEnvironmentVariable("VFIO_DIFFERENTIAL_STORE") == "1")
        {
            Store(answered, version);
        }

        StoredResults stored = StoredResults.Load(Checkout.Root);
        Assert.Equal(stored.KernelVersion, version);
        List<string> changed = [];
        foreach (Subject subject in AllScenarios.Subjects)
        {
            IReadOnlyList<ScenarioResult> now = Transcript.Parse(await File.ReadAllTextAsync(Path.Combine(answered, $"{subject.Name}.txt")));
            Assert.Equal(subject.Scenarios.Select(static scenario => scenario.Name), now.Select(static result => result.Name));
            foreach (ScenarioResult result in now)
            {
                ScenarioResult before = stored.Find(subject.Name, result.Name) ?? new ScenarioResult(result.Name, []);
                changed.AddRange(ResultComparer.Compare(subject.Name, before, result).Select(static d => $"{d.Scenario} call {d.Step}: {d.Field} is stored as {d.Kernel}, and is now {d.Core}"));
            }
        }

        Assert.True(
            changed.Count == 0,
            string.Join(Environment.NewLine, ["The kernel answers otherwise than is stored in tests/Differential. If it shall be so: eng/differential --kernel", .. changed]));
    }

    /// <summary>Makes what the kernel answered the stored results.</summary>
    private static void Store(string answered, string version)
    {
        string root = Checkout.File("tests/Differential");
        foreach (string old in Directory.GetDirectories(root, "linux-*"))
        {
            Directory.Delete(old, recursive: true);
        }

        string folder = Path.Combine(root, $"linux-{version}");
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(answered, "*.txt"))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
    }
}
