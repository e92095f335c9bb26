using Vfio.Devices.Edu;
using Vfio.Qemu.Tests.Harness;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>An <see cref="EduDevice"/> of this process behind a vfio-user server, for a machine to attach.</summary>
internal sealed class ServedEdu : IAsyncDisposable
{
    private readonly VfioHost _host = new();
    private readonly ScratchFolder _scratch = new();
    private readonly EduDevice _device;

    public ServedEdu(EduOptions? options = null)
    {
        _device = _host.Allocate(() => new EduDevice(options));
        _host.RegisterEmulatedIommuDevice(_device, "edu0");
        Server = VfioUserServer.Listen(_host, "edu0", _scratch.File("edu.sock"));
    }

    public VfioUserServer Server { get; }

    /// <summary>The device as QEMU attaches it.</summary>
    public QemuDevice Device => QemuDevice.VfioUser(Server.SocketPath!);

    /// <summary>Waits until no machine has the device any more.</summary>
    public async Task WaitUntilFreeAsync()
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (Server.HasClient)
        {
            await Task.Delay(5, stop.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        await _host.DisposeAsync();
        _device.Put();
        _scratch.Dispose();
    }
}
