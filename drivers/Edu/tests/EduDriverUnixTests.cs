using Vfio.Devices.Edu;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Drivers.Edu.Tests;

public sealed class EduDriverUnixTests : EduDriverTests, IAsyncDisposable
{
    private readonly DevicePair<EduDevice> _pair = DevicePair.Serve(static () => new EduDevice());

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{_pair.SocketPath}", TestContext.Current.CancellationToken);
}
