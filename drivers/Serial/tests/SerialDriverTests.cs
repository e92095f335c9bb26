using Vfio.Abi;

namespace Vfio.Drivers.Serial.Tests;

/// <summary>The driver on a card of one port with a loop-back plug, whichever way that is reached: the derived classes differ by the address only.</summary>
public abstract class SerialDriverTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Open_finds_the_port()
    {
        await using SerialDriver driver = await OpenAsync();
        Assert.Single(driver.Ports);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(5000)]
    public async Task What_is_sent_arrives(int length)
    {
        await using SerialDriver driver = await OpenAsync();
        SerialPort port = driver.Ports[0];
        port.SetSpeed(115200);
        byte[] data = new byte[length];
        Random.Shared.NextBytes(data);
        Task<byte[]> received = ReceiveAsync(port, length);
        await port.SendAsync(data, Stop);
        await port.DrainAsync(Stop);
        Assert.Equal(data, await received);
        Assert.Equal(0, port.Overruns);
    }

    [Fact]
    public async Task Card_is_usable_again_after_dispose()
    {
        for (byte i = 1; i <= 3; i++)
        {
            await using SerialDriver driver = await OpenAsync();
            await driver.Ports[0].SendAsync(new[] { i }, Stop);
            Assert.Equal([i], await ReceiveAsync(driver.Ports[0], 1));
        }
    }

    [Fact]
    public async Task Receive_is_cancelled_and_loses_nothing()
    {
        await using SerialDriver driver = await OpenAsync();
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(20));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await driver.Ports[0].ReceiveAsync(new byte[1], soon.Token));
        await driver.Ports[0].SendAsync("ab"u8.ToArray(), Stop);
        Assert.Equal("ab"u8.ToArray(), await ReceiveAsync(driver.Ports[0], 2));
    }

    [Fact]
    public async Task SetSpeed_takes_what_the_divisor_can()
    {
        await using SerialDriver driver = await OpenAsync();
        driver.Ports[0].SetSpeed(9600);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Ports[0].SetSpeed(100_000));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Ports[0].SetSpeed(0));
        await driver.Ports[0].SendAsync("x"u8.ToArray(), Stop);
        Assert.Equal("x"u8.ToArray(), await ReceiveAsync(driver.Ports[0], 1));
    }

    /// <summary>Connects to the device under test.</summary>
    protected abstract ValueTask<VfioConnection> ConnectAsync();

    private static async Task<byte[]> ReceiveAsync(SerialPort port, int length)
    {
        byte[] received = new byte[length];
        for (int done = 0; done < length;)
        {
            done += await port.ReceiveAsync(received.AsMemory(done), Stop);
        }

        return received;
    }

    private async Task<SerialDriver> OpenAsync() => SerialDriver.Open(await ConnectAsync());
}
