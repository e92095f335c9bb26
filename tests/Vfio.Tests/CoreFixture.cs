using Microsoft.Extensions.Time.Testing;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>A host with a clock that only the test moves.</summary>
internal sealed class CoreFixture : IAsyncDisposable
{
    private readonly List<VfioDeviceFile> _files = [];

    public CoreFixture(CallerCapabilities capabilities = CallerCapabilities.All, bool noIommu = false)
    {
        Capabilities = capabilities;
        Host = new VfioHost(new VfioHostOptions { TimeProvider = Clock, Capabilities = () => Capabilities, UnsafeNoIommu = noIommu });
    }

    public CallerCapabilities Capabilities { get; set; }

    public FakeTimeProvider Clock { get; } = new();

    public VfioHost Host { get; }

    public RecordingDevice Add(string name = "d0", Func<RecordingDevice>? create = null)
    {
        RecordingDevice device = Host.Allocate(create ?? (static () => new RecordingDevice()));
        _ = Host.RegisterEmulatedIommuDevice(device, name);
        device.Forget();
        return device;
    }

    public VfioDeviceFile Open(string name = "d0")
    {
        Assert.Equal(Errno.None, Host.TryOpenDevice(name, out VfioDeviceFile? file));
        _files.Add(file!);
        return file!;
    }

    public VfioDeviceFile OpenBound(string name = "d0", IommufdContext? context = null)
    {
        VfioDeviceFile file = Open(name);
        Assert.Equal(Errno.None, file.Bind(context ?? new IommufdContext(), out _));
        return file;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (VfioDeviceFile file in _files)
        {
            file.Dispose();
        }

        await Host.DisposeAsync();
    }
}
