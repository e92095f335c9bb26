using Vfio.Devices.Edu;
using Vfio.Testing;

namespace Vfio.Drivers.Edu.Tests;

public sealed class EduDriverLocalTests : EduDriverTests, IAsyncDisposable
{
    private readonly DevicePair<EduDevice> _pair = DevicePair.Serve(static () => new EduDevice());

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new LocalTransport(_pair.Host)).ConnectAsync($"local:{_pair.Device.Name}", TestContext.Current.CancellationToken);
}
