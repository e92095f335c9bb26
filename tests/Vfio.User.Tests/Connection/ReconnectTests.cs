using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Connection;

/// <summary>Clients that come one behind the other.</summary>
public sealed class ReconnectTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(SecondClientPolicy.Refuse, 100)]
    [InlineData(SecondClientPolicy.Refuse, 1)]
    [InlineData(SecondClientPolicy.Wait, 100)]
    public async Task Client_that_comes_when_the_last_has_hung_up_is_never_refused(SecondClientPolicy policy, int restMilliseconds)
    {
        DevicePairOptions options = new() { Server = new VfioUserServerOptions { SecondClient = policy, RestAfter = TimeSpan.FromMilliseconds(restMilliseconds) } };
        using DescriptorLeakGuard guard = new();

        // More than there are processors: any thread can be stopped anywhere.
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(Reconnect, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        void Reconnect()
        {
            DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice(), options);
            for (int i = 0; i < 1000; i++)
            {
                using RawVfioUserClient client = pair.ConnectRaw();
                Assert.Equal(4, client.ReadRegion(1, 0, 4).Length);
                client.Dispose();
                if (i % 100 == 99)
                {
                    // The loop has begun to watch again.
                    Thread.Sleep(30);
                }

                Thread.SpinWait(i % 50 * 20);
            }

            pair.DisposeAsync().AsTask().Wait(s_patience);
        }
    }

    [Fact]
    public async Task Second_client_is_refused_in_a_row_of_short_connections_as_well()
    {
        await using DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice());
        for (int i = 0; i < 50; i++)
        {
            pair.ConnectRaw().Dispose();
            using RawVfioUserClient first = pair.ConnectRaw();
            using RawVfioUserClient second = RawVfioUserClient.Connect(pair.SocketPath);
            Assert.True(second.WaitForEnd());
            Assert.Equal(4, first.ReadRegion(1, 0, 4).Length);
        }
    }

    [Fact]
    public async Task Server_that_is_disposed_lets_the_last_clients_thread_go()
    {
        DevicePairOptions options = new() { Server = new VfioUserServerOptions { RestAfter = TimeSpan.FromHours(1) } };
        await using DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice(), options);
        pair.ConnectRaw().Dispose();
        Assert.True(SpinWait.SpinUntil(() => !pair.Server!.HasClient, s_patience));
        await pair.Server!.DisposeAsync();
        Assert.True(SpinWait.SpinUntil(() => pair.Host.Workers.Busy == 0, s_patience));
    }
}
