using Vfio.Devices.Edu;
using Vfio.Devices.Serial;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>A guest whose kernel's VFIO, behind its IOMMU, has an edu and a serial card of ours, served from this process.</summary>
public sealed class OwnDevicesFixture : IAsyncLifetime
{
    public const string Edu = "0000:00:04.0";
    public const string Serial = "0000:00:05.0";
    private readonly ScratchFolder _scratch = new();
    private readonly VfioHost _host = new();
    private readonly List<VfioDevice> _devices = [];
    private readonly List<VfioUserServer> _servers = [];
    private GuestMachine? _guest;

    /// <summary>The guest; both are bound to vfio-pci.</summary>
    public GuestMachine Guest => _guest!;

    public async ValueTask InitializeAsync()
    {
        QemuInstallation.Current.RequireOwnKernel();
        QemuDevice edu = Serve(static () => new EduDevice(), "edu0");
        QemuDevice serial = Serve(static () => new SerialDevice(new SerialOptions { Backends = [static () => new LoopBackend()] }), "serial0");
        _guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Iommu = true,
            Memory = DotnetProgram.Memory,
            Devices = [edu.At(4), serial.At(5)],
            Files = DotnetProgram.FilesOf(DotnetProgram.GuestTests),
        });
        await _guest.BindAsync(Edu, "vfio-pci");
        await _guest.BindAsync(Serial, "vfio-pci");
    }

    public async ValueTask DisposeAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        foreach (VfioUserServer server in _servers)
        {
            await server.DisposeAsync();
        }

        await _host.DisposeAsync();
        _devices.ForEach(static device => device.Put());
        _scratch.Dispose();
    }

    private QemuDevice Serve<T>(Func<T> create, string name)
        where T : VfioDevice
    {
        T device = _host.Allocate(create);
        _devices.Add(device);
        _ = _host.RegisterEmulatedIommuDevice(device, name);
        VfioUserServer server = VfioUserServer.Listen(_host, name, _scratch.File(name));
        _servers.Add(server);
        return QemuDevice.VfioUser(server.SocketPath!);
    }
}
