namespace Vfio.Qemu.Tests;

/// <summary>One guest for all tests of the kernel's VFIO: with an IOMMU, QEMU's own edus, and the tool inside.</summary>
public sealed class KernelFixture : IAsyncLifetime
{
    /// <summary>QEMU's edu.</summary>
    public const string Edu = "0000:00:04.0";

    /// <summary>Two edus in one slot, and so in one IOMMU group: this is the first function.</summary>
    public const string Pair = "0000:00:06.0";

    private GuestMachine? _guest;

    /// <summary>The guest; the edus are bound to vfio-pci.</summary>
    public GuestMachine Guest => _guest!;

    public async ValueTask InitializeAsync()
    {
        QemuInstallation.Current.RequireOwnKernel();
        _guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            Memory = DotnetProgram.Memory,
            Devices = [QemuDevice.Of("edu").At(4), QemuDevice.Of("edu").With("addr", "6.0").With("multifunction", true), QemuDevice.Of("edu").With("addr", "6.1")],
            Files = DotnetProgram.FilesOf(DotnetProgram.Tool, DotnetProgram.GuestTests),
        });
        foreach (string function in (string[])[Edu, Pair, "0000:00:06.1"])
        {
            await _guest.BindAsync(function, "vfio-pci");
        }
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
