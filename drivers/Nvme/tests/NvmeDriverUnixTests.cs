using Vfio.Devices.Nvme;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Drivers.Nvme.Tests;

public sealed class NvmeDriverUnixTests : NvmeDriverTests, IAsyncDisposable
{
    private readonly DevicePair<NvmeDevice> _pair = DevicePair.Serve(static () => new NvmeDevice());

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{_pair.SocketPath}", TestContext.Current.CancellationToken);
}
