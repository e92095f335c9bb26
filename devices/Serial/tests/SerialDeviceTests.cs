using System.Text;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Devices.Serial.Tests;

public sealed class SerialDeviceTests : IAsyncDisposable
{
    private const int Rbr = 0;
    private const int Ier = 1;
    private const int Iir = 2;
    private const int Lcr = 3;
    private const int Mcr = 4;
    private const int Lsr = 5;
    private const int Msr = 6;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private readonly VfioHost _host = new();
    private SerialDevice? _device;
    private VfioConnection? _connection;

    private VfioRegion Open(params ISerialBackend[] lines)
    {
        int ports = lines.Length switch { 0 => 1, 3 => 4, > 4 => 8, _ => lines.Length };
        return Open(new SerialOptions { Ports = ports, Backends = [.. lines.Select<ISerialBackend, Func<ISerialBackend>>(line => () => line)] });
    }

    private VfioRegion Open(SerialOptions options)
    {
        _device = _host.Allocate(() => new SerialDevice(options));
        _host.RegisterEmulatedIommuDevice(_device, "serial0");
        _connection = LocalConnection.Open(_host, "serial0");
        return _connection.Bar(options.Ports == 8 ? 2 : 0);
    }

    public async ValueTask DisposeAsync()
    {
        _connection?.Dispose();
        _connection = null;
        await _host.DisposeAsync();
        _device?.Put();
        _device = null;
    }

    [Fact]
    public void What_was_written_is_on_the_line_although_the_user_closes_at_once()
    {
        RecordingBackend backend = new();
        VfioRegion registers = Open(backend);
        for (byte i = 0; i < 100; i++)
        {
            registers.Write8(0, i);
            _connection!.Dispose();
            _connection = LocalConnection.Open(_host, "serial0");
            registers = _connection.Bar(0);
        }

        Assert.Equal(Enumerable.Range(0, 100).Select(static i => (byte)i), backend.Written);
    }

    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        (string expected, string actual) = RegisterTable.Read("devices/Serial/README.md", Uart.RegistersMarkdown);
        Assert.Equal(expected, actual);
    }

    [Theory]
    [InlineData(1, 0x00021B36u, 0x07000201u, 8u)]
    [InlineData(2, 0x00031B36u, 0x07000201u, 16u)]
    [InlineData(4, 0x00041B36u, 0x07000201u, 32u)]
    [InlineData(8, 0x7801135Eu, 0x07020001u, 64u)]
    public void Cards_are_what_the_linux_driver_knows(int ports, uint id, uint classCode, uint size)
    {
        VfioRegion bar = Open(new SerialOptions { Ports = ports });
        Assert.Equal(id, _connection!.Config.Read32(0));
        Assert.Equal(classCode, _connection.Config.Read32(8));
        Assert.Equal(size, bar.Size);
        Assert.Equal(1U, _connection.Config.Read32(0x10 + (ports == 8 ? 8U : 0)) & 1);
        Assert.Equal(1, _connection.Config.Read8(0x3D));
    }

    /// <summary>The steps by which Linux finds out what a port is (autoconfig).</summary>
    [Fact]
    public void Port_is_recognised_as_a_16550A()
    {
        VfioRegion port = Open();
        port.Write8(Ier, 0);
        Assert.Equal(0, port.Read8(Ier));
        port.Write8(Ier, 0x0F);
        Assert.Equal(0x0F, port.Read8(Ier));
        port.Write8(Ier, 0);
        port.Write8(Mcr, 0x1A);
        Assert.Equal(0x90, port.Read8(Msr) & 0xF0);
        port.Write8(Mcr, 0);
        port.Write8(Lcr, 0);
        port.Write8(Iir, 1);
        Assert.Equal(3, port.Read8(Iir) >> 6);
        port.Write8(Lcr, 0xBF);
        Assert.NotEqual(0, port.Read8(Iir));
        port.Write8(Lcr, 0);
        port.Write8(Iir, 0x21);
        Assert.Equal(0xC0, port.Read8(Iir) & 0xE0);
        port.Write8(Ier, 0xFF);
        Assert.Equal(0x0F, port.Read8(Ier));
        port.Write8(7, 0xA5);
        Assert.Equal(0xA5, port.Read8(7));
    }

    [Fact]
    public void Divisor_latch_hides_data_and_interrupt_enable()
    {
        VfioRegion port = Open();
        port.Write8(Lcr, 0x83);
        port.Write8(0, 0x0C);
        port.Write8(1, 0x00);
        Assert.Equal(0x0C, port.Read8(0));
        Assert.Equal(9600, _device!.BaudRate(0));
        port.Write8(Lcr, 0x03);
        Assert.Equal(0, port.Read8(Ier));
        Assert.Equal(0x03, port.Read8(Lcr));
    }

    [Fact]
    public void Loopback_moves_bytes_and_reports_overrun_once()
    {
        VfioRegion port = Open();
        port.Write8(Iir, 0x01);
        port.Write8(Mcr, 0x10);
        for (int i = 0; i < 17; i++)
        {
            port.Write8(Rbr, (byte)i);
        }

        Assert.Equal(0x63, port.Read8(Lsr));
        Assert.Equal(0x61, port.Read8(Lsr));
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(i, port.Read8(Rbr));
        }

        Assert.Equal(0x60, port.Read8(Lsr));
    }

    [Fact]
    public void Loopback_without_fifo_holds_one_byte()
    {
        VfioRegion port = Open();
        port.Write8(Mcr, 0x10);
        port.Write8(Rbr, 1);
        port.Write8(Rbr, 2);
        Assert.Equal(0x63, port.Read8(Lsr));
        Assert.Equal(1, port.Read8(Rbr));
    }

    [Fact]
    public void Loopback_joins_the_modem_lines_and_notes_their_changes()
    {
        VfioRegion port = Open();
        Assert.Equal(0xB0, port.Read8(Msr));
        port.Write8(Mcr, 0x10);
        Assert.Equal(0x0B, port.Read8(Msr));
        Assert.Equal(0x00, port.Read8(Msr));
        port.Write8(Mcr, 0x15);
        Assert.Equal(0x62, port.Read8(Msr));
        port.Write8(Mcr, 0x11);
        Assert.Equal(0x24, port.Read8(Msr));
    }

    [Fact]
    public void Causes_have_their_priorities()
    {
        VfioRegion port = Open();
        port.Write8(Iir, 0x81);
        port.Write8(Mcr, 0x10);
        port.Write8(Ier, 0x0F);
        for (int i = 0; i < 17; i++)
        {
            port.Write8(Rbr, (byte)i);
        }

        Assert.Equal(0xC6, port.Read8(Iir));
        port.Read8(Lsr);
        Assert.Equal(0xC4, port.Read8(Iir));
        for (int i = 0; i < 9; i++)
        {
            port.Read8(Rbr);
        }

        Assert.Equal(0xCC, port.Read8(Iir));
        for (int i = 0; i < 7; i++)
        {
            port.Read8(Rbr);
        }

        Assert.Equal(0xC2, port.Read8(Iir));
        Assert.Equal(0xC0, port.Read8(Iir));
        port.Read8(Msr);
        Assert.Equal(0xC1, port.Read8(Iir));
    }

    [Theory]
    [InlineData(0x01, 1)]
    [InlineData(0x41, 4)]
    [InlineData(0x81, 8)]
    [InlineData(0xC1, 14)]
    public void Trigger_levels_tell_data_from_time_out(byte control, int level)
    {
        VfioRegion port = Open();
        port.Write8(Iir, control);
        port.Write8(Mcr, 0x10);
        port.Write8(Ier, 0x01);
        for (int i = 1; i <= 16; i++)
        {
            port.Write8(Rbr, (byte)i);
            Assert.Equal(i < level ? 0xCC : 0xC4, port.Read8(Iir));
        }
    }

    [Fact]
    public void Transmitter_interrupt_comes_when_enabled_and_after_each_emptying()
    {
        var line = new SerialPipe();
        VfioRegion port = Open(line);
        using InterruptSet pin = _connection!.EnableInterrupts(PciInterrupt.Intx);
        port.Write8(Ier, 0x02);
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0x02, port.Read8(Iir));
        Assert.Equal(0x01, port.Read8(Iir));
        pin.Unmask();
        port.Write8(Rbr, (byte)'x');
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0x02, port.Read8(Iir));
        byte[] one = new byte[4];
        Assert.Equal(1, line.Receive(one));
        Assert.Equal((byte)'x', one[0]);
    }

    [Fact]
    public void A_line_that_takes_nothing_holds_the_transmitter()
    {
        var line = new SerialPipe(capacity: 4);
        VfioRegion port = Open(line);
        port.Write8(Iir, 1);
        for (int i = 0; i < 16; i++)
        {
            port.Write8(Rbr, (byte)i);
        }

        byte[] received = new byte[16];
        int count = 0;
        Thread.Sleep(30);
        Assert.Equal(0, port.Read8(Lsr) & 0x20);
        WaitFor(() => (count += line.Receive(received.AsSpan(count))) == 16);
        WaitFor(() => (port.Read8(Lsr) & 0x60) == 0x60);
        Assert.Equal(Enumerable.Range(0, 16).Select(i => (byte)i), received);
    }

    [Fact]
    public void Bytes_wait_on_the_line_until_software_asserts_rts()
    {
        var line = new SerialPipe();
        VfioRegion port = Open(line);
        line.Send("early"u8);
        Thread.Sleep(20);
        Assert.Equal(0, port.Read8(Lsr) & 1);
        port.Write8(Iir, 0x07);
        port.Write8(Mcr, 0x02);
        Assert.Equal("early", ReadText(port, 5));
    }

    [Fact]
    public void Carrier_follows_the_other_end()
    {
        var line = new SerialPipe();
        VfioRegion port = Open(line);
        using InterruptSet pin = _connection!.EnableInterrupts(PciInterrupt.Intx);
        Assert.Equal(0xB0, port.Read8(Msr));
        port.Write8(Ier, 0x08);
        line.IsConnected = false;
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0x00, port.Read8(Iir));
        Assert.Equal(0x0B, port.Read8(Msr));
        Assert.Equal(0x01, port.Read8(Iir));
    }

    [Fact]
    public void Ports_share_the_pin()
    {
        var lines = new SerialPipe[4];
        for (int i = 0; i < 4; i++)
        {
            lines[i] = new SerialPipe();
        }

        VfioRegion bar = Open(lines);
        using InterruptSet pin = _connection!.EnableInterrupts(PciInterrupt.Intx);
        for (uint i = 0; i < 4; i++)
        {
            bar.Write8((i * 8) + Mcr, 0x0B);
            bar.Write8((i * 8) + Ier, 1);
        }

        lines[1].Send("b"u8);
        lines[3].Send("d"u8);
        Assert.True(pin[0].Wait(s_patience));
        WaitFor(() => (bar.Read8(24 + Iir) & 1) == 0 && (bar.Read8(8 + Iir) & 1) == 0);
        Assert.Equal(1, bar.Read8(Iir));
        Assert.Equal((byte)'b', bar.Read8(8));
        pin.Unmask();
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal((byte)'d', bar.Read8(24));
        pin.Unmask();
        Assert.False(pin[0].Wait(TimeSpan.FromMilliseconds(30)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Sixty_four_KiB_go_both_ways_at_once_without_loss(int ports)
    {
        const int Total = 65536;
        SerialPipe[] lines = [.. Enumerable.Range(0, ports).Select(_ => new SerialPipe())];
        VfioRegion bar = Open(lines);
        using InterruptSet pin = _connection!.EnableInterrupts(PciInterrupt.Intx);
        byte[][] toGuest = new byte[ports][];
        byte[][] toHost = new byte[ports][];
        byte[][] atGuest = new byte[ports][];
        byte[][] atHost = new byte[ports][];
        var random = new Random(7);
        for (int p = 0; p < ports; p++)
        {
            (toGuest[p], toHost[p], atGuest[p], atHost[p]) = (new byte[Total], new byte[Total], new byte[Total], new byte[Total]);
            random.NextBytes(toGuest[p]);
            random.NextBytes(toHost[p]);
        }

        Thread[] hostEnds = [.. Enumerable.Range(0, ports).Select(p => new Thread(() => RunHostEnd(lines[p], toGuest[p], atHost[p])))];
        foreach (Thread thread in hostEnds)
        {
            thread.Start();
        }

        RunDriver(bar, pin, ports, toHost, atGuest);
        foreach (Thread thread in hostEnds)
        {
            Assert.True(thread.Join(s_patience), "The host's end did not get everything.");
        }

        for (int p = 0; p < ports; p++)
        {
            Assert.Equal(toGuest[p], atGuest[p]);
            Assert.Equal(toHost[p], atHost[p]);
        }
    }

    [Fact]
    public void Pseudo_terminal_carries_bytes_both_ways()
    {
        var pty = new PtyBackend();
        VfioRegion port = Open(pty);
        port.Write8(Iir, 1);
        port.Write8(Mcr, 0x03);
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(pty.Path, OpenMode.ReadWrite | OpenMode.NoControllingTerminal, out FileDescriptor? terminal));
        using (terminal)
        {
            Assert.Equal(4, terminal!.Write("ping"u8).Count);
            Assert.Equal("ping", ReadText(port, 4));
            WriteText(port, "pong\r\n");
            byte[] answer = new byte[6];
            int count = 0;
            while (count < 6 && Poll.Wait(terminal, EventLoopEvents.Read, 5000).Value > 0)
            {
                count += terminal.Read(answer.AsSpan(count)).Count;
            }

            Assert.Equal("pong\r\n", Encoding.ASCII.GetString(answer));
        }

        Assert.StartsWith("pty /dev/pts/", _device!.Lines[0].Address);
    }

    [Fact]
    public void Unix_socket_serves_one_client_after_the_other_and_loses_nothing()
    {
        string path = Path.Combine(Path.GetTempPath(), $"vfio-serial-{Environment.ProcessId}.sock");
        File.Delete(path);
        VfioRegion port = Open(SerialOptions.Parse([$"port0=unix:{path}"]));
        port.Write8(Iir, 1);
        port.Write8(Mcr, 0x03);
        Assert.Equal(0, port.Read8(Msr) & 0xF0);
        WriteText(port, "early");

        Assert.Equal(Errno.None, UnixSocket.TryConnect(path, out UnixSocket? first));
        Assert.Equal(Errno.None, UnixSocket.TryConnect(path, out UnixSocket? second));
        using (second)
        {
            using (first)
            {
                Assert.Equal("early", Receive(first!, 5));
                WaitFor(() => (port.Read8(Msr) & 0xF0) == 0xB0);
                string longText = new('a', 100);
                Assert.Equal(100, first!.Send(Encoding.ASCII.GetBytes(longText)).Count);
                Assert.Equal(4, second!.Send("next"u8).Count);
            }

            Assert.Equal(new string('a', 100) + "next", ReadText(port, 104));
            WriteText(port, "hello");
            Assert.Equal("hello", Receive(second, 5));
        }

        WaitFor(() => (port.Read8(Msr) & 0xF0) == 0);
        _connection!.Dispose();
    }

    [Fact]
    public void Streams_carry_bytes_both_ways()
    {
        using var output = new MemoryStream();
        VfioRegion port = Open(new StreamBackend(new MemoryStream(Encoding.ASCII.GetBytes(new string('z', 6000))), output));
        port.Write8(Iir, 1);
        port.Write8(Mcr, 0x03);
        Assert.Equal(new string('z', 6000), ReadText(port, 6000));
        WriteText(port, "out");
        WaitFor(() => output.Length == 3);
        Assert.Equal("out"u8.ToArray(), output.ToArray());
    }

    [Fact]
    public void Loop_plug_returns_what_is_sent()
    {
        VfioRegion port = Open(new LoopBackend());
        port.Write8(Iir, 1);
        port.Write8(Mcr, 0x03);
        WriteText(port, "around");
        Assert.Equal("around", ReadText(port, 6));
    }

    [Fact]
    public void Close_resets_the_ports()
    {
        VfioRegion port = Open();
        port.Write8(Ier, 0x0F);
        port.Write8(7, 1);
        _connection!.Dispose();
        _connection = LocalConnection.Open(_host, "serial0");
        Assert.Equal(0, _connection.Bar(0).Read8(Ier));
        Assert.Equal(0, _connection.Bar(0).Read8(7));
    }

    [Fact]
    public async Task Everything_is_released()
    {
        using var guard = new DescriptorLeakGuard();
        string path = Path.Combine(Path.GetTempPath(), $"vfio-serial-leak-{Environment.ProcessId}.sock");
        Open(SerialOptions.Parse(["port0=pty", $"port1=unix:{path}"]));
        Assert.Equal(Errno.None, UnixSocket.TryConnect(path, out UnixSocket? client));
        client!.Dispose();
        await DisposeAsync();
        Assert.False(File.Exists(path));
    }

    [Theory]
    [InlineData("port0=", 0)]
    [InlineData("port8=pty", 0)]
    [InlineData("ports=3", 0)]
    [InlineData("speed=9600", 0)]
    [InlineData("port0=pty", 1)]
    [InlineData("port1=pty", 2)]
    [InlineData("port2=loop", 4)]
    [InlineData("port7=null", 8)]
    [InlineData("ports=4", 4)]
    public void Options_are_read_or_refused_with_what_is_accepted(string setting, int ports)
    {
        if (ports == 0)
        {
            Assert.Contains("port0=pty", Assert.Throws<FormatException>(() => SerialOptions.Parse([setting])).Message);
        }
        else
        {
            Assert.Equal(ports, SerialOptions.Parse([setting]).Ports);
        }
    }

    [Fact]
    public void A_port_beyond_the_last_is_refused()
        => Assert.Contains("port2", Assert.Throws<FormatException>(() => SerialOptions.Parse(["ports=2", "port2=pty"])).Message);

    /// <summary>What an interrupt handler of the 8250 driver does, for all ports, until everything is sent and received.</summary>
    private static void RunDriver(VfioRegion bar, InterruptSet pin, int ports, byte[][] toHost, byte[][] atGuest)
    {
        int[] sent = new int[ports];
        int[] received = new int[ports];
        for (uint p = 0; p < ports; p++)
        {
            bar.Write8((p * 8) + Iir, 0x81);
            bar.Write8((p * 8) + Mcr, 0x0B);
            bar.Write8((p * 8) + Ier, 0x07);
        }

        while (sent.Zip(toHost, (n, all) => n == all.Length).Contains(false) || received.Zip(atGuest, (n, all) => n == all.Length).Contains(false))
        {
            Assert.True(pin[0].Wait(s_patience), $"No interrupt; sent {string.Join(',', sent)}, received {string.Join(',', received)}.");
            for (uint p = 0; p < ports; p++)
            {
                uint port = p * 8;
                while ((bar.Read8(port + Iir) & 1) == 0)
                {
                    byte line = bar.Read8(port + Lsr);
                    Assert.Equal(0, line & 0x1E);
                    for (int burst = 0; (line & 1) != 0 && burst < 256; burst++)
                    {
                        atGuest[p][received[p]++] = bar.Read8(port + Rbr);
                        line = bar.Read8(port + Lsr);
                    }

                    if ((line & 0x20) != 0)
                    {
                        for (int i = 0; i < 16 && sent[p] < toHost[p].Length; i++)
                        {
                            bar.Write8(port + Rbr, toHost[p][sent[p]++]);
                        }
                    }
                }
            }

            pin.Unmask();
        }
    }

    private static void RunHostEnd(SerialPipe line, byte[] send, byte[] receive)
    {
        int sent = 0;
        int received = 0;
        long end = Environment.TickCount64 + 30_000;
        while ((sent < send.Length || received < receive.Length) && Environment.TickCount64 < end)
        {
            int moved = line.Send(send.AsSpan(sent, Math.Min(1000, send.Length - sent)));
            sent += moved;
            int got = line.Receive(receive.AsSpan(received));
            received += got;
            if (moved + got == 0)
            {
                Thread.Yield();
            }
        }
    }

    private static string ReadText(VfioRegion port, int length)
    {
        var text = new StringBuilder();
        while (text.Length < length)
        {
            WaitFor(() => (port.Read8(Lsr) & 1) != 0);
            text.Append((char)port.Read8(Rbr));
        }

        return text.ToString();
    }

    private static void WriteText(VfioRegion port, string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (i % 16 == 0 && i != 0)
            {
                WaitFor(() => (port.Read8(Lsr) & 0x20) != 0);
            }

            port.Write8(Rbr, (byte)text[i]);
        }
    }

    private static string Receive(UnixSocket socket, int length)
    {
        byte[] bytes = new byte[length];
        int count = 0;
        while (count < length && Poll.Wait(socket.Descriptor, EventLoopEvents.Read, 5000).Value > 0)
        {
            count += socket.Descriptor.Read(bytes.AsSpan(count)).Count;
        }

        return Encoding.ASCII.GetString(bytes, 0, count);
    }

    private static void WaitFor(Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, "The device did not get ready in time.");
            Thread.Yield();
        }
    }

    /// <summary>A line that takes everything.</summary>
    private sealed class RecordingBackend : ISerialBackend
    {
        private readonly Lock _lock = new();
        private readonly List<byte> _written = [];

        public IReadOnlyList<byte> Written
        {
            get
            {
                lock (_lock)
                {
                    return [.. _written];
                }
            }
        }

        public string Address => "recording";

        public bool IsConnected => true;

        public void Start(EventLoop loop, Action changed)
        {
        }

        public int Read(Span<byte> buffer) => 0;

        public int Write(ReadOnlySpan<byte> bytes)
        {
            lock (_lock)
            {
                _written.AddRange(bytes);
                return bytes.Length;
            }
        }

        public void Dispose()
        {
        }
    }
}
