using Vfio.Devices.Serial;
using Vfio.Testing;

namespace Vfio.Drivers.Serial.Tests;

public sealed class SerialDriverLocalTests : SerialDriverTests, IAsyncDisposable
{
    private readonly DevicePair<SerialDevice> _pair = DevicePair.Serve(static () => new SerialDevice(new SerialOptions { Backends = [static () => new LoopBackend()] }));

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new LocalTransport(_pair.Host)).ConnectAsync($"local:{_pair.Device.Name}", TestContext.Current.CancellationToken);
}
