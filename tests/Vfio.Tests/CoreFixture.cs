using Microsoft.Extensions.Time.Testing;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>A host with a clock that only the test moves.</summary>
internal sealed class CoreFixture : IAsyncDisposable
{
    private readonly List<VfioFile> _files = [];
    private int _drivers;

    public CoreFixture(CallerCapabilities capabilities = CallerCapabilities.All, bool noIommu = false, Func<VfioHostOptions, VfioHostOptions>? options = null)
    {
        Capabilities = capabilities;
        VfioHostOptions own = new()
        {
            TimeProvider = Clock,
            Capabilities = () => Capabilities,
            UnsafeNoIommu = noIommu,
            TryGetDriver = _ => HasDriver && Interlocked.Increment(ref _drivers) > 0,
            PutDriver = _ => Interlocked.Decrement(ref _drivers),
        };
        Host = new VfioHost(options?.Invoke(own) ?? own);
    }

    public bool HasDriver { get; set; } = true;

    public int Drivers => _drivers;

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

    public RecordingDevice AddPhysical(string name = "p0", IommuGroup? group = null, Func<RecordingDevice>? create = null, IIommuHardware? hardware = null)
    {
        RecordingDevice device = Host.Allocate(create ?? (static () => new RecordingDevice()));
        _ = Host.RegisterGroupDevice(device, new DeviceParent(name) { IommuGroup = group ?? Host.CreateIommuGroup(hardware: hardware) });
        device.Forget();
        return device;
    }

    public RecordingDevice AddNoIommu(string name = "n0")
    {
        RecordingDevice device = Host.Allocate(static () => new RecordingDevice());
        _ = Host.RegisterGroupDevice(device, new DeviceParent(name));
        device.Forget();
        return device;
    }

    /// <summary>Opens the group node of a device.</summary>
    public VfioGroupFile OpenGroup(VfioDevice device)
    {
        Assert.Equal(Errno.None, Host.Open($"/dev/vfio/{device.Group!.NodeName}", out VfioFile? file));
        return Track((VfioGroupFile)file!);
    }

    public VfioContainer OpenContainer()
    {
        Assert.Equal(Errno.None, Host.Open("/dev/vfio/vfio", out VfioFile? file));
        return Track((VfioContainer)file!);
    }

    public IommufdContext OpenIommufd()
    {
        Assert.Equal(Errno.None, Host.Open("/dev/iommu", out VfioFile? file));
        return Track((IommufdContext)file!);
    }

    public VfioDeviceFile OpenDevice(VfioGroupFile group, string name)
    {
        Assert.Equal(Errno.None, group.OpenDevice(name, out VfioDeviceFile? file));
        return Track(file!);
    }

    /// <summary>A device's group in a container with a type set, and the device open: the way of VFIO programs.</summary>
    public (VfioContainer Container, VfioGroupFile Group, VfioDeviceFile File) OpenThroughContainer(VfioDevice device, uint type = VfioUapi.VFIO_TYPE1v2_IOMMU)
    {
        VfioGroupFile group = OpenGroup(device);
        VfioContainer container = OpenContainer();
        Assert.Equal(Errno.None, group.SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(type));
        return (container, group, OpenDevice(group, device.Name));
    }

    public T Track<T>(T file)
        where T : VfioFile
    {
        _files.Add(file);
        return file;
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
        foreach (VfioFile file in _files)
        {
            file.Dispose();
        }

        await Host.DisposeAsync();
    }
}
