using System.Formats.Tar;
using System.IO.Compression;
using Vfio.Differential;
using Vfio.TestUtilities;

namespace Vfio.Qemu.Tests;

/// <summary>The scenarios of <c>Vfio.Differential</c> on the guest's kernel, whose results are stored in the tree.</summary>
[Collection(GuestCollection.Name)]
public sealed class DifferentialGuestTests
{
    [Fact]
    public async Task Kernel_answers_scenarios_as_it_is_stored()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            RootPorts = 1,
            Memory = DotnetProgram.Memory,
            Devices = [QemuDevice.Of("edu").At(4), QemuDevice.Of("edu").On("rp0")],
            Files = DotnetProgram.FilesOf(DotnetProgram.Differential),
        });
        foreach (Target target in Targets.All)
        {
            await guest.BindAsync(Targets.Address(target), "vfio-pci");
        }

        GuestResult run = await guest.TryRunAsync($"{DotnetProgram.Differential.Command} kernel /tmp/differential 2>&1", TimeSpan.FromSeconds(300));
        Assert.True(run.Status == 0, run.Output + guest.ConsoleLog);
        string packed = await guest.RunAsync("tar -C /tmp/differential -cz . | base64 -w 0");
        string folder = Checkout.File("artifacts/differential/kernel");
        Directory.CreateDirectory(folder);
        await using var stream = new GZipStream(new MemoryStream(Convert.FromBase64String(packed)), CompressionMode.Decompress);
        await TarFile.ExtractToDirectoryAsync(stream, folder, overwriteFiles: true);
        await File.WriteAllTextAsync(Checkout.File("artifacts/differential/console.log"), run.Output + "\n" + guest.ConsoleLog);
    }
}
