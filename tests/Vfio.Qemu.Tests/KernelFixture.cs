namespace Vfio.Qemu.Tests;

/// <summary>One guest for all tests of the kernel's VFIO: with an IOMMU, QEMU's own edu, and the tool inside.</summary>
public sealed class KernelFixture : IAsyncLifetime
{
    /// <summary>QEMU's edu.</summary>
    public const string Edu = "0000:00:04.0";

    private GuestMachine? _guest;

    /// <summary>The guest; the edu is bound to vfio-pci.</summary>
    public GuestMachine Guest => _guest!;

    public async ValueTask InitializeAsync()
    {
        QemuInstallation.Current.RequireOwnKernel();
        _guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            Memory = DotnetProgram.Memory,
            Devices = [QemuDevice.Of("edu").At(4)],
            Files = DotnetProgram.FilesOf(DotnetProgram.Tool, DotnetProgram.GuestTests),
        });
        await _guest.BindAsync(Edu, "vfio-pci");
    }

    public async ValueTask DisposeAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }
    }

    /// <summary>Runs the tool in the guest and gives what it printed.</summary>
    public Task<string> VfioAsync(string arguments) => Guest.RunAsync(Script(arguments), TimeSpan.FromSeconds(120));

    /// <summary>Runs the tool in the guest and gives its result, whatever it is.</summary>
    public Task<GuestResult> TryVfioAsync(string arguments) => Guest.TryRunAsync(Script(arguments), TimeSpan.FromSeconds(120));

    // Through a file: the agent's output is a terminal, for which the tool draws.
    private static string Script(string arguments) => $"{DotnetProgram.Tool.Command} {arguments} >/tmp/vfio.out 2>&1; status=$?; cat /tmp/vfio.out; exit $status";
}
