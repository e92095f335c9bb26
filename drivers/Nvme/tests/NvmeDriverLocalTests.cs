using Vfio.Devices.Nvme;
using Vfio.Testing;

namespace Vfio.Drivers.Nvme.Tests;

public sealed class NvmeDriverLocalTests : NvmeDriverTests, IAsyncDisposable
{
    private readonly DevicePair<NvmeDevice> _pair = DevicePair.Serve(static () => new NvmeDevice());

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new LocalTransport(_pair.Host)).ConnectAsync($"local:{_pair.Device.Name}", TestContext.Current.CancellationToken);
}
