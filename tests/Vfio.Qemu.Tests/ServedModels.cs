using Vfio.Differential;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>The devices of <c>Vfio.Differential</c> behind vfio-user servers, for a machine to attach.</summary>
internal sealed class ServedModels : IAsyncDisposable
{
    private readonly VfioHost _host = new();
    private readonly ScratchFolder _scratch = new();
    private readonly List<ModelDevice> _devices = [];
    private readonly List<VfioUserServer> _servers = [];

    public ServedModels()
    {
        foreach (Target target in Targets.All)
        {
            ModelDevice device = _host.Allocate(() => new ModelDevice(target, bus: null, enforcesDecode: false));
            _host.RegisterEmulatedIommuDevice(device, $"model{target}");
            _devices.Add(device);
            _servers.Add(VfioUserServer.Listen(_host, device.Name, _scratch.File($"{target}.sock")));
        }
    }

    /// <summary>The devices as QEMU attaches them, where <see cref="Targets"/> says that they are.</summary>
    public IReadOnlyList<QemuDevice> Devices =>
    [
        QemuDevice.VfioUser(_servers[0].SocketPath!).At(4),
        QemuDevice.VfioUser(_servers[1].SocketPath!).On("rp0"),
    ];

    public async ValueTask DisposeAsync()
    {
        foreach (VfioUserServer server in _servers)
        {
            await server.DisposeAsync();
        }

        await _host.DisposeAsync();
        _devices.ForEach(static device => device.Put());
        _scratch.Dispose();
    }
}
