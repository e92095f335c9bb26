using System.Text;
using Vfio.Abi;
using Vfio.Testing;

namespace Vfio.Devices.Serial.Tests;

/// <summary>A card that is saved here and goes on there.</summary>
public sealed class MigrationTests
{
    private const ulong Data = 0;
    private const ulong InterruptEnable = 1;
    private const ulong FifoControl = 2;
    private const ulong LineControl = 3;
    private const ulong ModemControl = 4;
    private const ulong LineStatus = 5;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private static DevicePair<SerialDevice> Pair(params ISerialBackend[] lines)
        => DevicePair.OverSocket(() => new SerialDevice(new SerialOptions { Ports = 2, Backends = [.. lines.Select<ISerialBackend, Func<ISerialBackend>>(line => () => line)] }));

    [Fact]
    public async Task Received_bytes_settings_and_interrupt_are_the_same_on_the_other_card()
    {
        var line = new SerialPipe();
        await using DevicePair<SerialDevice> from = Pair(new SerialPipe(), line);
        await using DevicePair<SerialDevice> to = Pair(new SerialPipe(), new SerialPipe());
        using InterruptSet pin = to.Connection.EnableInterrupts(PciInterrupt.Intx);
        VfioRegion old = from.Connection.Bar(0);
        Set(old, port: 1, LineControl, 0x83);
        Set(old, port: 1, Data, 12);
        Set(old, port: 1, LineControl, 0x03);
        Set(old, port: 1, FifoControl, 0x81);
        Set(old, port: 1, ModemControl, 0x0B);
        Set(old, port: 1, InterruptEnable, 0x01);
        line.Send(Encoding.ASCII.GetBytes("hello"));
        WaitFor(() => (Get(old, port: 1, LineStatus) & 1) != 0);

        byte[] state = DeviceState.Save(from.Connection);
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(9600, to.Device.BaudRate(1));
        VfioRegion region = to.Connection.Bar(0);
        byte[] received = new byte[5];
        for (int i = 0; i < received.Length; i++)
        {
            Assert.Equal(0x0C, Get(region, port: 1, FifoControl) & 0x0F);
            received[i] = Get(region, port: 1, Data);
        }

        Assert.Equal("hello", Encoding.ASCII.GetString(received));
        Assert.Equal(0x01, Get(region, port: 1, FifoControl) & 0x0F);
        Assert.Equal(0x0B, Get(region, port: 1, ModemControl));
    }

    [Fact]
    public async Task Bytes_that_the_line_here_did_not_take_are_sent_there()
    {
        // A pipe without room takes nothing.
        var full = new SerialPipe(capacity: 1);
        var line = new SerialPipe();
        await using DevicePair<SerialDevice> from = Pair(full);
        await using DevicePair<SerialDevice> to = Pair(line);
        VfioRegion old = from.Connection.Bar(0);
        Set(old, port: 0, FifoControl, 0x01);
        Set(old, port: 0, Data, (byte)'a');
        WaitFor(() => (Get(old, port: 0, LineStatus) & 0x20) != 0);
        Set(old, port: 0, Data, (byte)'b');
        Set(old, port: 0, Data, (byte)'c');

        byte[] state = DeviceState.Save(from.Connection);
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        byte[] sent = new byte[4];
        int count = 0;
        WaitFor(() => (count += line.Receive(sent.AsSpan(count))) == 2);
        Assert.Equal("bc", Encoding.ASCII.GetString(sent, 0, count));
    }

    [Theory]
    [InlineData(0, Errno.EINVAL)]
    [InlineData(30, Errno.EINVAL)]
    [InlineData(-1, Errno.EINVAL)]
    public async Task Cut_state_is_refused(int length, Errno expected)
    {
        await using DevicePair<SerialDevice> from = Pair();
        await using DevicePair<SerialDevice> to = Pair();
        byte[] state = DeviceState.Save(from.Connection);

        Assert.Equal(expected, DeviceState.TryRestore(to.Connection, length < 0 ? state[..^1] : state[..length]));
    }

    [Fact]
    public async Task Card_with_another_number_of_ports_is_refused()
    {
        await using DevicePair<SerialDevice> from = Pair();
        await using DevicePair<SerialDevice> to = DevicePair.OverSocket(() => new SerialDevice());

        Assert.Equal(Errno.EINVAL, DeviceState.TryRestore(to.Connection, DeviceState.Save(from.Connection)));
    }

    [Fact]
    public async Task Any_bytes_are_refused_or_taken_and_the_card_goes_on()
    {
        await using DevicePair<SerialDevice> from = Pair(new LoopBackend());
        await using DevicePair<SerialDevice> to = Pair(new LoopBackend());
        byte[] state = DeviceState.Save(from.Connection);
        var random = new Random(7);
        for (int round = 0; round < 300; round++)
        {
            byte[] wrong = round % 2 == 0 ? [.. state] : state[..random.Next(state.Length + 1)];
            for (int changes = random.Next(1, 6); changes > 0 && wrong.Length != 0; changes--)
            {
                wrong[random.Next(wrong.Length)] = (byte)random.Next(256);
            }

            _ = DeviceState.TryRestore(to.Connection, wrong);
            to.Connection.Reset();
        }

        VfioRegion region = to.Connection.Bar(0);
        Set(region, port: 0, ModemControl, 0x02);
        Set(region, port: 0, Data, (byte)'x');
        WaitFor(() => (Get(region, port: 0, LineStatus) & 1) != 0);
        Assert.Equal((byte)'x', Get(region, port: 0, Data));
    }

    private static void Set(VfioRegion region, int port, ulong register, byte value) => region.Write8(((ulong)port * 8) + register, value);

    private static byte Get(VfioRegion region, int port, ulong register) => region.Read8(((ulong)port * 8) + register);

    private static void WaitFor(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, s_patience));
}
