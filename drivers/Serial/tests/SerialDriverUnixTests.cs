using Vfio.Devices.Serial;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Drivers.Serial.Tests;

public sealed class SerialDriverUnixTests : SerialDriverTests, IAsyncDisposable
{
    private readonly DevicePair<SerialDevice> _pair = DevicePair.Serve(static () => new SerialDevice(new SerialOptions { Backends = [static () => new LoopBackend()] }));

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{_pair.SocketPath}", TestContext.Current.CancellationToken);
}
