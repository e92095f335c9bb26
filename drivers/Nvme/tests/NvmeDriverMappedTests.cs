using Vfio.Devices.Nvme;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>Across a socket, with doorbells in memory that both sides map.</summary>
public sealed class NvmeDriverMappedTests : NvmeDriverTests, IAsyncDisposable
{
    private readonly DevicePair<NvmeDevice> _pair = DevicePair.Serve(static () => new NvmeDevice(new Devices.Nvme.NvmeOptions { Polled = true }));

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task Doorbells_are_mapped()
    {
        await using NvmeController controller = await NvmeController.OpenAsync(await ConnectAsync(), cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(controller.UsesMappedDoorbells);
    }

    protected override ValueTask<VfioConnection> ConnectAsync()
        => new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{_pair.SocketPath}", TestContext.Current.CancellationToken);
}
