using Vfio.Abi;
using Vfio.Devices.Edu;
using Vfio.Devices.Serial;
using Vfio.Testing;

namespace Vfio.Drivers.Serial.Tests;

/// <summary>What needs the other end of the line, or another device.</summary>
public sealed class SerialFlowTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Line_is_held_back_while_nobody_receives_and_nothing_is_lost()
    {
        SerialPipe line = new(capacity: 256 * 1024);
        await using DevicePair<SerialDevice> pair = DevicePair.Local(() => new SerialDevice(new SerialOptions { Backends = [() => line] }));
        await using SerialDriver driver = SerialDriver.Open(pair.Connection);
        byte[] data = new byte[200_000];
        Random.Shared.NextBytes(data);
        Assert.Equal(data.Length, line.Send(data));

        // 64 KiB in the driver, 16 in the card's FIFO, and some on their way.
        await Task.Delay(200, Stop);
        byte[] received = new byte[data.Length];
        for (int done = 0; done < data.Length;)
        {
            done += await driver.Ports[0].ReceiveAsync(received.AsMemory(done), Stop);
        }

        Assert.True(data.AsSpan().SequenceEqual(received));
        Assert.Equal(0, driver.Ports[0].Overruns);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public async Task Ports_of_a_card_do_not_mix(int count)
    {
        await using DevicePair<SerialDevice> pair = DevicePair.Local(
            () => new SerialDevice(new SerialOptions { Ports = count, Backends = [.. Enumerable.Repeat<Func<ISerialBackend>>(static () => new LoopBackend(), count)] }));
        await using SerialDriver driver = SerialDriver.Open(pair.Connection);
        Assert.Equal(count, driver.Ports.Count);
        await Parallel.ForEachAsync(Enumerable.Range(0, count), Stop, async (i, stop) =>
        {
            byte[] data = [.. Enumerable.Repeat((byte)(i + 1), 2000)];
            byte[] received = new byte[data.Length];
            Task sending = driver.Ports[i].SendAsync(data, stop).AsTask();
            for (int done = 0; done < data.Length;)
            {
                done += await driver.Ports[i].ReceiveAsync(received.AsMemory(done), stop);
            }

            await sending;
            Assert.Equal(data, received);
        });
    }

    [Fact]
    public async Task Another_device_is_ENODEV()
    {
        await using DevicePair<EduDevice> pair = DevicePair.Local(static () => new EduDevice());
        VfioException exception = Assert.Throws<VfioException>(() => SerialDriver.Open(pair.Connection));
        Assert.Equal(Errno.ENODEV, exception.Errno);
        Assert.Contains("1234:11e8", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Receiver_is_told_when_the_server_goes()
    {
        await using DevicePair<SerialDevice> pair = DevicePair.OverSocket(static () => new SerialDevice());
        await using SerialDriver driver = SerialDriver.Open(pair.Connection);
        Task<int> receiving = driver.Ports[0].ReceiveAsync(new byte[1], Stop).AsTask();
        await pair.Server!.DisposeAsync();
        Assert.Equal(Errno.ENOTCONN, (await Assert.ThrowsAsync<VfioException>(() => receiving)).Errno);
    }
}
