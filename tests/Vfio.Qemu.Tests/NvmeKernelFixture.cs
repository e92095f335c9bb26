namespace Vfio.Qemu.Tests;

/// <summary>A guest with an IOMMU, QEMU's own NVMe controller on a sparse file, and the tool and the tests inside.</summary>
public sealed class NvmeKernelFixture : IAsyncLifetime
{
    /// <summary>QEMU's nvme.</summary>
    public const string Nvme = "0000:00:04.0";

    private const long DiskSize = 128 << 20;
    private readonly string _disk = Path.Combine(Path.GetTempPath(), $"vfio-nvme-{Guid.NewGuid():n}.img");
    private GuestMachine? _guest;

    /// <summary>The guest; the controller is bound to vfio-pci.</summary>
    public GuestMachine Guest => _guest!;

    public async ValueTask InitializeAsync()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using (FileStream disk = File.Create(_disk))
        {
            disk.SetLength(DiskSize);
        }

        _guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            Memory = DotnetProgram.Memory + 256,
            Arguments = ["-drive", $"if=none,id=nv,format=raw,cache=unsafe,discard=unmap,file={_disk}"],
            Devices = [QemuDevice.Of("nvme").With("serial", "vfio-net-1").With("drive", "nv").At(4)],
            Files = DotnetProgram.FilesOf(DotnetProgram.Tool, DotnetProgram.GuestTests),
        });
        await _guest.BindAsync(Nvme, "vfio-pci");
    }

    public async ValueTask DisposeAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        File.Delete(_disk);
    }

    /// <summary>Reads QEMU's file, past the driver.</summary>
    public async Task<byte[]> ReadDiskAsync(long offset, int length)
    {
        await using FileStream disk = File.OpenRead(_disk);
        disk.Position = offset;
        byte[] data = new byte[length];
        await disk.ReadExactlyAsync(data);
        return data;
    }

    /// <summary>Runs the tool in the guest and gives what it printed.</summary>
    public Task<string> VfioAsync(string arguments)
        => Guest.RunAsync($"{DotnetProgram.Tool.Command} {arguments} >/tmp/vfio.out 2>&1; status=$?; cat /tmp/vfio.out; exit $status", TimeSpan.FromSeconds(180));
}
