using Vfio.Abi;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Scale;

/// <summary>Connections that have rested: no thread, no buffers, and nothing that a client could notice.</summary>
public sealed class RestingTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private static readonly DevicePairOptions s_restless = new() { Server = new VfioUserServerOptions { RestAfter = TimeSpan.FromMilliseconds(1) } };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Rested_connection_answers_and_does_dma(bool twin)
    {
        DevicePairOptions options = s_restless with { Client = new VfioUserClientOptions { OfferTwinSocket = twin, ShareMemory = false } };
        await using DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(static () => new ConformanceDevice(), options);
        using DmaBuffer memory = pair.Connection.AllocateDma(4096);
        for (byte i = 1; i <= 20; i++)
        {
            await UntilRestAsync(pair);
            Assert.Equal(i, WriteAndRead(pair.Connection, i));

            // The device reaches for memory while the connection rests: the answer wakes it.
            await UntilRestAsync(pair);
            memory.Span[0] = i;
            byte[] read = new byte[1];
            Assert.Equal(Errno.None, pair.Device.ReadMemory(memory.Iova, read));
            Assert.Equal(i, read[0]);
        }
    }

    [Fact]
    public async Task Rested_connection_that_never_negotiated_is_ended_in_time()
    {
        DevicePairOptions options = new() { Server = new VfioUserServerOptions { RestAfter = TimeSpan.FromMilliseconds(1), NegotiationTimeout = TimeSpan.FromMilliseconds(200) } };
        await using DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice(), options);
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        await UntilRestAsync(pair);
        Assert.True(SpinWait.SpinUntil(() => pair.Server!.LastEnd == ConnectionEnd.TimedOut, s_patience));
        Assert.False(pair.Server!.HasClient);
    }

    [Fact]
    public async Task Rested_connection_whose_client_goes_is_closed_and_the_next_is_served()
    {
        using DescriptorLeakGuard guard = new();
        await using DevicePair<ConformanceDevice> pair = DevicePair.Serve(static () => new ConformanceDevice(), s_restless);
        for (int i = 0; i < 10; i++)
        {
            using (VfioUserConnection client = pair.Connect())
            {
                await UntilRestAsync(pair);
            }

            Assert.True(SpinWait.SpinUntil(() => !pair.Server!.HasClient, s_patience));
            Assert.Equal(ConnectionEnd.ClientClosed, pair.Server!.LastEnd);
        }
    }

    [Fact]
    public async Task Rested_connection_is_ended_by_its_server()
    {
        DevicePair<ConformanceDevice> pair = DevicePair.OverSocket(static () => new ConformanceDevice(), s_restless);
        await UntilRestAsync(pair);
        await pair.Server!.DisposeAsync().AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal(ConnectionEnd.ServerStopped, pair.Server.LastEnd);
        await pair.DisposeAsync();
    }

    private static byte WriteAndRead(VfioConnection connection, byte value)
    {
        connection.Bar(1).Write8(0, value);
        return connection.Bar(1).Read8(0);
    }

    private static async Task UntilRestAsync(DevicePair<ConformanceDevice> pair)
    {
        using CancellationTokenSource stop = new(s_patience);
        while (pair.Host.Workers.Busy > 0)
        {
            await Task.Delay(1, stop.Token);
        }
    }
}
