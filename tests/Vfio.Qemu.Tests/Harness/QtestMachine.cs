using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Vfio.Qemu.Tests.Harness;

/// <summary>
/// A q35 machine without a guest: the test itself is the processor, by QEMU's qtest protocol. The devices are real, and
/// so is QEMU's vfio-user client. Starts in a tenth of a second; an access takes about 0.1 ms.
/// </summary>
/// <remarks>One thread at a time. Configuration space is reached through ECAM, so that all 4096 bytes are.</remarks>
public sealed class QtestMachine : IDisposable
{
    /// <summary>Where the harness puts the window of extended configuration space.</summary>
    public const ulong EcamBase = 0xB000_0000;

    // Where BARs go, one after the other, on their natural alignment.
    private const ulong MemoryWindow = 0xE000_0000;
    private const ulong PortWindow = 0xC000;

    private const int HostBridgePciexbar = 0x60;
    private const uint PciexbarEnable = 1;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    private readonly QemuProcess _qemu;
    private readonly Socket _socket;
    private readonly byte[] _received = new byte[64 * 1024];
    private readonly StringBuilder _line = new();
    private readonly Queue<string> _lines = new();
    private readonly Queue<InterruptEvent> _interrupts = new();
    private ulong _nextMemory = MemoryWindow;
    private ulong _nextPort = PortWindow;

    private QtestMachine(QemuProcess qemu, Socket socket, QmpClient qmp)
    {
        _qemu = qemu;
        _socket = socket;
        Qmp = qmp;
    }

    /// <summary>The process, for its output.</summary>
    public QemuProcess Process => _qemu;

    /// <summary>QEMU's control connection, for <c>device_add</c> and the like.</summary>
    public QmpClient Qmp { get; }

    /// <summary>Starts a machine with these devices.</summary>
    public static Task<QtestMachine> StartAsync(params IReadOnlyList<QemuDevice> devices) =>
        StartAsync(new QtestOptions { Devices = devices });

    /// <summary>Starts a machine.</summary>
    /// <exception cref="QemuException">QEMU ended at once; the message has its output.</exception>
    public static async Task<QtestMachine> StartAsync(QtestOptions options)
    {
        using var scratch = new ScratchFolder();
        using Socket listener = QemuProcess.Listen(scratch.File("qtest"));
        using Socket qmpListener = QemuProcess.Listen(scratch.File("qmp"));

        List<string> arguments = ["-accel", "qtest", "-qtest", $"unix:{scratch.File("qtest")}", "-qtest-log", "none"];
        arguments.AddRange(QemuArguments.Machine(options.Memory, options.SharedMemory));
        arguments.AddRange(QemuArguments.Qmp(scratch.File("qmp")));
        arguments.AddRange(options.Arguments);
        arguments.AddRange(QemuArguments.Devices(options.Devices));

        QemuProcess qemu = QemuProcess.Start(arguments);
        try
        {
            Socket socket = await qemu.AcceptAsync(listener, "qtest socket", s_timeout);
            QmpClient qmp = await QmpClient.ConnectAsync(qemu, await qemu.AcceptAsync(qmpListener, "QMP socket", s_timeout));
            var machine = new QtestMachine(qemu, socket, qmp);
            machine.EnableEcam();
            return machine;
        }
        catch
        {
            qemu.Dispose();
            throw;
        }
    }

    /// <summary>A function of the root bus.</summary>
    public QtestPciFunction Pci(int slot, int function = 0) => new(this, slot, function);

    public byte Read8(ulong address) => (byte)Number("readb", address);

    public ushort Read16(ulong address) => (ushort)Number("readw", address);

    public uint Read32(ulong address) => (uint)Number("readl", address);

    public ulong Read64(ulong address) => Number("readq", address);

    public void Write8(ulong address, byte value) => Send($"writeb 0x{address:x} 0x{value:x}");

    public void Write16(ulong address, ushort value) => Send($"writew 0x{address:x} 0x{value:x}");

    public void Write32(ulong address, uint value) => Send($"writel 0x{address:x} 0x{value:x}");

    public void Write64(ulong address, ulong value) => Send($"writeq 0x{address:x} 0x{value:x}");

    public byte In8(ushort port) => (byte)Number("inb", port);

    public ushort In16(ushort port) => (ushort)Number("inw", port);

    public uint In32(ushort port) => (uint)Number("inl", port);

    public void Out8(ushort port, byte value) => Send($"outb 0x{port:x} 0x{value:x}");

    public void Out16(ushort port, ushort value) => Send($"outw 0x{port:x} 0x{value:x}");

    public void Out32(ushort port, uint value) => Send($"outl 0x{port:x} 0x{value:x}");

    /// <summary>Reads guest memory.</summary>
    public byte[] ReadMemory(ulong address, int length)
    {
        string answer = Send($"read 0x{address:x} 0x{length:x}");
        return Convert.FromHexString(answer.AsSpan(2));
    }

    /// <summary>Writes guest memory.</summary>
    public void WriteMemory(ulong address, ReadOnlySpan<byte> data) =>
        Send($"write 0x{address:x} 0x{data.Length:x} 0x{Convert.ToHexStringLower(data)}");

    /// <summary>
    /// Waits until the 32-bit word at <paramref name="address"/> differs from <paramref name="old"/>: the arrival of a
    /// message-signalled interrupt whose address was set to RAM, or the end of a device's write.
    /// </summary>
    public uint WaitForChange32(ulong address, uint old)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            uint value = Read32(address);
            if (value != old)
            {
                return value;
            }

            if (Stopwatch.GetElapsedTime(start) > s_timeout)
            {
                throw new QemuException(_qemu.Describe($"Guest memory at 0x{address:x} stayed 0x{old:x}"));
            }

            Thread.Sleep(1);
        }
    }

    /// <summary>
    /// Moves the machine's clock on to its next timer. It stands still otherwise; only devices of QEMU's own that wait
    /// for time need it.
    /// </summary>
    public void StepClock() => Send("clock_step");

    /// <summary>From now on changes of the I/O APIC's inputs are recorded instead of delivered.</summary>
    public void InterceptInterrupts() => Send("irq_intercept_in ioapic");

    /// <summary>Waits for the next change of an input of the I/O APIC.</summary>
    /// <returns>The change, or null when none came in time.</returns>
    public InterruptEvent? WaitForInterrupt(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        while (_interrupts.Count == 0)
        {
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || !TryReadLine(left, out string line))
            {
                return null;
            }

            if (!TryRecordInterrupt(line))
            {
                throw new QemuException(_qemu.Describe($"qtest said '{line}' when nothing was asked"));
            }
        }

        return _interrupts.Dequeue();
    }

    /// <summary>Forgets the changes that were recorded so far.</summary>
    public void ClearInterrupts()
    {
        while (TryReadLine(TimeSpan.Zero, out string line))
        {
            TryRecordInterrupt(line);
        }

        _interrupts.Clear();
    }

    /// <summary>
    /// Resets the machine, and so every device in it (a vfio-user server sees DEVICE_RESET). BARs lose their addresses.
    /// </summary>
    public async Task ResetAsync()
    {
        int before = Qmp.Events.Count(e => e == "RESET");
        await Qmp.ExecuteAsync("system_reset");
        await Qmp.WaitForEventAsync("RESET", before + 1);
        _nextMemory = MemoryWindow;
        _nextPort = PortWindow;
        EnableEcam();
    }

    public void Dispose()
    {
        Qmp.Dispose();
        _socket.Dispose();
        _qemu.Dispose();
    }

    /// <summary>Takes room for a BAR from the machine's window.</summary>
    internal ulong AllocateBar(ulong size, bool isPort)
    {
        ref ulong next = ref isPort ? ref _nextPort : ref _nextMemory;
        ulong address = (next + size - 1) & ~(size - 1);
        next = address + size;
        return address;
    }

    private void EnableEcam()
    {
        // MCH: 256 buses at EcamBase. Through the old ports, since the window is not there yet.
        Out32(0xCF8, 0x8000_0000 | (HostBridgePciexbar + 4));
        Out32(0xCFC, 0);
        Out32(0xCF8, 0x8000_0000 | HostBridgePciexbar);
        Out32(0xCFC, (uint)EcamBase | PciexbarEnable);
    }

    private ulong Number(string command, ulong address)
    {
        string answer = Send($"{command} 0x{address:x}");
        return ulong.Parse(answer.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }

    private string Send(string command)
    {
        try
        {
            _socket.Send(Encoding.ASCII.GetBytes(command + "\n"));
        }
        catch (SocketException e)
        {
            throw new QemuException(_qemu.Describe($"qtest did not take '{Shorten(command)}'"), e);
        }

        while (TryReadLine(s_timeout, out string line))
        {
            if (TryRecordInterrupt(line))
            {
                continue;
            }

            if (line == "OK")
            {
                return "";
            }

            return line.StartsWith("OK ", StringComparison.Ordinal)
                ? line[3..]
                : throw new QemuException(_qemu.Describe($"qtest answered '{line}' to '{Shorten(command)}'"));
        }

        throw new QemuException(_qemu.Describe($"qtest did not answer '{Shorten(command)}' within {s_timeout.TotalSeconds} s"));
    }

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..80] + "…";

    private bool TryRecordInterrupt(string line)
    {
        bool raised = line.StartsWith("IRQ raise ", StringComparison.Ordinal);
        if (!raised && !line.StartsWith("IRQ lower ", StringComparison.Ordinal))
        {
            return false;
        }

        _interrupts.Enqueue(new InterruptEvent(int.Parse(line.AsSpan(10), CultureInfo.InvariantCulture), raised));
        return true;
    }

    private bool TryReadLine(TimeSpan timeout, out string line)
    {
        long start = Stopwatch.GetTimestamp();
        while (!_lines.TryDequeue(out line!))
        {
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (!_socket.Poll(left > TimeSpan.Zero ? left : TimeSpan.Zero, SelectMode.SelectRead))
            {
                return false;
            }

            int count;
            try
            {
                count = _socket.Receive(_received);
            }
            catch (SocketException e)
            {
                throw new QemuException(_qemu.Describe("The qtest connection broke"), e);
            }

            if (count == 0)
            {
                _qemu.Exited.Wait(s_timeout);
                throw new QemuException(_qemu.Describe("QEMU closed the qtest connection"));
            }

            foreach (byte b in _received.AsSpan(0, count))
            {
                if (b == '\n')
                {
                    _lines.Enqueue(_line.ToString());
                    _line.Clear();
                }
                else if (b != '\r')
                {
                    _line.Append((char)b);
                }
            }
        }

        return true;
    }
}
