using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Serial;

/// <summary>
/// One 16550A: registers, FIFOs of 16 bytes, modem lines, interrupt. Time does not pass in it: bytes move as fast as the FIFOs allow, whatever
/// the divisor says, and a receive time-out is reached as soon as nothing more is there.
/// </summary>
/// <remarks>All members are called with the device's state lock held.</remarks>
[RegisterFile("uart", Size = 8)]
internal sealed partial class Uart
{
    private const int FifoSize = 16;
    private const byte LineDataReady = 0x01;
    private const byte LineTransmitterEmpty = 0x60;
    private const byte FifoEnable = 0x01;
    private const byte FifoTrigger = 0xC0;
    private const byte CauseNone = 0x01;
    private const byte CauseTransmitter = 0x02;
    private readonly ByteQueue _received = new(FifoSize);
    private readonly ByteQueue _sending = new(FifoSize);
    private readonly Action _wantsTransfer;
    private readonly Action _changed;
    private InterruptEnables _interruptEnable;
    private bool _transmitterInterrupt;

    /// <summary>Makes a port in its reset state.</summary>
    /// <param name="backend">The other end of its line.</param>
    /// <param name="wantsTransfer">Asks for a call of <see cref="Transfer"/> soon.</param>
    /// <param name="changed">Tells that <see cref="IsInterrupting"/> may have changed by an access.</param>
    public Uart(ISerialBackend backend, Action wantsTransfer, Action changed)
    {
        Backend = backend;
        _wantsTransfer = wantsTransfer;
        _changed = changed;
        ModemLines = ReadLines();
    }

    public ISerialBackend Backend { get; }

    /// <summary>Whether the port asserts its interrupt.</summary>
    public bool IsInterrupting => PendingInterrupt() != CauseNone;

    public int BaudRate => 115200 / Math.Max(1, DivisorLow | (DivisorHigh << 8));

    [Register(0, Name = "RBR/THR/DLL", BeforeRead = nameof(ReadReceived), AfterRead = nameof(Changed), BeforeWrite = nameof(WriteTransmitted), AfterWrite = nameof(Changed), Reset = 1, Description = "receive buffer (read), transmit holding (write); divisor latch low with LCR bit 7")]
    private partial byte DivisorLow { get; }

    [Register(1, Name = "IER/DLM", BeforeRead = nameof(ReadInterruptEnable), BeforeWrite = nameof(WriteInterruptEnable), AfterWrite = nameof(Changed), Description = "interrupt enable: bits 0 received, 1 transmitter, 2 line status, 3 modem status; divisor latch high with LCR bit 7")]
    private partial byte DivisorHigh { get; }

    [Register(2, Name = "IIR/FCR", BeforeRead = nameof(ReadCause), AfterRead = nameof(Changed), BeforeWrite = nameof(ControlFifo), AfterWrite = nameof(Changed), Description = "interrupt cause (read); FIFO control (write): bit 0 enable, 1 and 2 clear, 6 and 7 trigger level")]
    private partial byte FifoControl { get; }

    [Register(3, Name = "LCR")]
    private partial byte LineControl { get; }

    [Field(nameof(LineControl), 6, 0, Name = "format", Description = "word length, stop bits, parity, break")]
    private partial byte Format { get; }

    [Field(nameof(LineControl), 7, Name = "DLAB", Description = "selects the divisor latch")]
    private partial bool IsLatch { get; }

    [Register(4, Name = "MCR", AfterWrite = nameof(ChangeModem))]
    private partial byte ModemControl { get; }

    [Field(nameof(ModemControl), 0, Name = "DTR")]
    private partial bool IsTerminalReady { get; }

    [Field(nameof(ModemControl), 1, Name = "RTS", Description = "bytes are taken from the line")]
    private partial bool IsRequestingToSend { get; }

    [Field(nameof(ModemControl), 2, Name = "OUT1")]
    private partial bool Out1 { get; }

    [Field(nameof(ModemControl), 3, Name = "OUT2")]
    private partial bool Out2 { get; }

    [Field(nameof(ModemControl), 4, Name = "loop", Description = "loops back")]
    private partial bool IsLooped { get; }

    [Register(5, Name = "LSR", BeforeRead = nameof(ReadLineStatus), AfterRead = nameof(Changed), Access = RegisterAccess.ReadOnly)]
    private partial byte LineStatus { get; }

    [Field(nameof(LineStatus), 0, Name = "data", Description = "data waits")]
    private partial bool HasData { get; }

    [Field(nameof(LineStatus), 1, Name = "overrun", Access = RegisterAccess.ReadToClear, Description = "a byte was lost")]
    private partial bool HasOverrun { get; set; }

    [Field(nameof(LineStatus), 6, 5, Name = "empty", Description = "transmitter empty")]
    private partial byte Empty { get; }

    [Register(6, Name = "MSR", AfterRead = nameof(Changed), Access = RegisterAccess.ReadOnly)]
    private partial byte ModemStatus { get; }

    [Field(nameof(ModemStatus), 3, 0, Name = "changes", Access = RegisterAccess.ReadToClear, Description = "which of the lines have changed")]
    private partial byte ModemChanges { get; set; }

    [Field(nameof(ModemStatus), 7, 4, Name = "lines", Description = "CTS, DSR, RI, DCD")]
    private partial byte ModemLines { get; set; }

    [Register(7, Name = "SCR", Description = "scratch")]
    private partial byte Scratch { get; }

    private bool IsFifoEnabled => (FifoControl & FifoEnable) != 0;

    /// <summary>How many bytes each FIFO holds: one while they are disabled.</summary>
    private int Depth => IsFifoEnabled ? FifoSize : 1;

    private int TriggerLevel => !IsFifoEnabled ? 1 : (FifoControl >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };

    /// <summary>Puts on the line what waits to be sent, as far as the line takes it.</summary>
    public void Send()
    {
        Span<byte> bytes = stackalloc byte[FifoSize];
        while (_sending.Count != 0 && !IsLooped)
        {
            int taken = Backend.Write(bytes[.._sending.Peek(bytes)]);
            if (taken <= 0)
            {
                return;
            }

            _sending.Remove(taken);
            _transmitterInterrupt |= _sending.Count == 0;
        }
    }

    /// <summary>Moves bytes between FIFOs and line until one side has none or no room.</summary>
    public void Transfer()
    {
        UpdateModemLines();
        if (IsLooped)
        {
            return;
        }

        Send();

        // Bytes wait on the line until software asks for them: an open that clears the FIFOs loses nothing.
        Span<byte> bytes = stackalloc byte[FifoSize];
        int room = IsRequestingToSend ? Depth - _received.Count : 0;
        while (room > 0)
        {
            int count = Backend.Read(bytes[..room]);
            if (count <= 0)
            {
                break;
            }

            _received.Enqueue(bytes[..count]);
            room -= count;
        }

        UpdateModemLines();
    }

    /// <summary>Writes what the registers do not tell.</summary>
    public void SaveQueues(DeviceStateWriter writer)
    {
        writer.WriteByte((byte)_interruptEnable);
        writer.WriteBoolean(_transmitterInterrupt);
        Save(writer, _received);
        Save(writer, _sending);
    }

    /// <summary>Takes what <see cref="SaveQueues"/> wrote.</summary>
    public Errno TryRestoreQueues(ref DeviceStateReader reader)
    {
        var enable = (InterruptEnables)reader.ReadByte();
        _interruptEnable = enable & InterruptEnables.All;
        _transmitterInterrupt = reader.ReadBoolean();
        return TryRestore(ref reader, _received) && TryRestore(ref reader, _sending) && enable == _interruptEnable ? Errno.None : Errno.EINVAL;
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        // What software wrote left before the reset: the line has no speed, only the work that moves it has not run yet.
        Send();
        _interruptEnable = 0;
        _transmitterInterrupt = false;
        _received.Clear();
        _sending.Clear();
        ModemLines = ReadLines();
    }

    private static void Save(DeviceStateWriter writer, ByteQueue queue)
    {
        Span<byte> bytes = stackalloc byte[FifoSize];
        bytes = bytes[..queue.Peek(bytes)];
        writer.WriteByte((byte)bytes.Length);
        writer.WriteBytes(bytes);
    }

    private static bool TryRestore(ref DeviceStateReader reader, ByteQueue queue)
    {
        ReadOnlySpan<byte> bytes = reader.ReadBytes(reader.ReadByte());
        queue.Clear();
        return queue.Enqueue(bytes) == bytes.Length;
    }

    private void Changed() => _changed();

    private byte ReadReceived(byte divisor)
    {
        if (IsLatch)
        {
            return divisor;
        }

        Span<byte> one = [0];
        bool wasFull = _received.Count >= Depth;
        _received.Dequeue(one);
        if (wasFull || _received.Count == 0)
        {
            _wantsTransfer();
        }

        return one[0];
    }

    private byte WriteTransmitted(byte value, byte divisor)
    {
        if (IsLatch)
        {
            return value;
        }

        Span<byte> one = [value];
        if (IsLooped)
        {
            if (_received.Count >= Depth)
            {
                HasOverrun = true;
            }
            else
            {
                _received.Enqueue(one);
            }

            _transmitterInterrupt = true;
            return divisor;
        }

        // With all places taken the byte is lost, as in the hardware: software looks at LSR first.
        if (_sending.Count < Depth)
        {
            _sending.Enqueue(one);
        }

        _transmitterInterrupt = false;
        _wantsTransfer();
        return divisor;
    }

    private byte ReadInterruptEnable(byte divisor) => IsLatch ? divisor : (byte)_interruptEnable;

    private byte WriteInterruptEnable(byte value, byte divisor)
    {
        if (IsLatch)
        {
            return value;
        }

        // Enabling the interrupt of an empty transmitter raises it at once.
        var enable = (InterruptEnables)value & InterruptEnables.All;
        _transmitterInterrupt |= (enable & ~_interruptEnable & InterruptEnables.Transmitter) != 0 && _sending.Count == 0;
        _interruptEnable = enable;
        return divisor;
    }

    private byte ReadCause()
    {
        byte cause = PendingInterrupt();
        if (cause == CauseTransmitter)
        {
            // Reading the cause acknowledges an empty transmitter.
            _transmitterInterrupt = false;
        }

        return (byte)(cause | (IsFifoEnabled ? 0xC0 : 0));
    }

    private byte ControlFifo(byte value, byte old)
    {
        bool changes = ((value ^ old) & FifoEnable) != 0;
        if (changes || (value & 2) != 0)
        {
            _received.Clear();
        }

        if (changes || (value & 4) != 0)
        {
            _transmitterInterrupt |= _sending.Count != 0;
            _sending.Clear();
        }

        _wantsTransfer();
        return (byte)(value & (FifoEnable | FifoTrigger));
    }

    private void ChangeModem()
    {
        UpdateModemLines();
        _wantsTransfer();
        _changed();
    }

    private byte ReadLineStatus(byte errors) => (byte)(errors | (_received.Count != 0 ? LineDataReady : 0) | (_sending.Count == 0 ? LineTransmitterEmpty : 0));

    /// <summary>CTS, DSR, RI and DCD as they stand on the line, or as the modem control register loops them back.</summary>
    private byte ReadLines()
    {
        if (IsLooped)
        {
            return (byte)((IsRequestingToSend ? 1 : 0) | (IsTerminalReady ? 2 : 0) | (Out1 ? 4 : 0) | (Out2 ? 8 : 0));
        }

        return (byte)(Backend.IsConnected ? 0xB : 0);
    }

    private void UpdateModemLines()
    {
        byte lines = ReadLines();
        byte changed = (byte)(lines ^ ModemLines);

        // RI reports only its trailing edge.
        if ((lines & 4) != 0)
        {
            changed &= 0x0B;
        }

        ModemLines = lines;
        ModemChanges |= changed;
    }

    /// <summary>The cause of the highest priority, as IIR shows it.</summary>
    private byte PendingInterrupt()
    {
        if (IsEnabled(InterruptEnables.LineStatus) && HasOverrun)
        {
            return 0x06;
        }

        if (IsEnabled(InterruptEnables.Received) && _received.Count != 0)
        {
            return _received.Count >= TriggerLevel ? (byte)0x04 : (byte)0x0C;
        }

        if (IsEnabled(InterruptEnables.Transmitter) && _transmitterInterrupt)
        {
            return CauseTransmitter;
        }

        return IsEnabled(InterruptEnables.ModemStatus) && ModemChanges != 0 ? (byte)0x00 : CauseNone;
    }

    private bool IsEnabled(InterruptEnables interrupt) => (_interruptEnable & interrupt) != 0;
}
