namespace Vfio.Devices.Serial;

/// <summary>
/// One 16550A: registers, FIFOs of 16 bytes, modem lines, interrupt. Time does not pass in it: bytes move as fast as the FIFOs allow, whatever
/// the divisor says, and a receive time-out is reached as soon as nothing more is there.
/// </summary>
/// <remarks>All members are called with the device's state lock held.</remarks>
internal sealed class Uart
{
    private const int FifoSize = 16;
    private const byte DivisorLatchAccess = 0x80;
    private const byte ModemRequestToSend = 0x02;
    private const byte ModemLoop = 0x10;
    private const byte LineDataReady = 0x01;
    private const byte LineOverrun = 0x02;
    private const byte LineErrors = 0x1E;
    private const byte LineTransmitterEmpty = 0x60;
    private readonly ByteQueue _received = new(FifoSize);
    private readonly ByteQueue _sending = new(FifoSize);
    private readonly Action _wantsTransfer;
    private ushort _divisor = 1;
    private byte _interruptEnable;
    private byte _lineControl;
    private byte _modemControl;
    private byte _modemStatus;
    private byte _scratch;
    private byte _lineErrors;
    private int _triggerLevel = 1;
    private bool _fifoEnabled;
    private bool _transmitterInterrupt;
    private bool _isConnected;

    /// <summary>Makes a port in its reset state.</summary>
    /// <param name="backend">The other end of its line.</param>
    /// <param name="wantsTransfer">Asks for a call of <see cref="Transfer"/> soon.</param>
    public Uart(ISerialBackend backend, Action wantsTransfer)
    {
        Backend = backend;
        _wantsTransfer = wantsTransfer;
        Reset();
    }

    public ISerialBackend Backend { get; }

    /// <summary>Whether the port asserts its interrupt.</summary>
    public bool IsInterrupting => PendingInterrupt() != 1;

    public int BaudRate => 115200 / Math.Max((ushort)1, _divisor);

    private bool IsLatch => (_lineControl & DivisorLatchAccess) != 0;

    private bool IsLooped => (_modemControl & ModemLoop) != 0;

    /// <summary>How many bytes each FIFO holds: one while they are disabled.</summary>
    private int Depth => _fifoEnabled ? FifoSize : 1;

    private byte LineStatus => (byte)((_received.Count != 0 ? LineDataReady : 0) | _lineErrors | (_sending.Count == 0 ? LineTransmitterEmpty : 0));

    public void Reset()
    {
        _divisor = 1;
        _interruptEnable = 0;
        _lineControl = 0;
        _modemControl = 0;
        _lineErrors = 0;
        _scratch = 0;
        _triggerLevel = 1;
        _fifoEnabled = false;
        _transmitterInterrupt = false;
        _received.Clear();
        _sending.Clear();
        _modemStatus = ModemLines();
    }

    public byte Read(int register)
    {
        switch (register)
        {
            case 0 when IsLatch:
                return (byte)_divisor;
            case 0:
                return ReadReceived();
            case 1:
                return IsLatch ? (byte)(_divisor >> 8) : _interruptEnable;
            case 2:
                byte pending = PendingInterrupt();
                if (pending == 2)
                {
                    // Reading the cause acknowledges an empty transmitter.
                    _transmitterInterrupt = false;
                }

                return (byte)(pending | (_fifoEnabled ? 0xC0 : 0));
            case 3:
                return _lineControl;
            case 4:
                return _modemControl;
            case 5:
                byte line = LineStatus;
                _lineErrors = 0;
                return line;
            case 6:
                byte modem = _modemStatus;
                _modemStatus &= 0xF0;
                return modem;
            default:
                return _scratch;
        }
    }

    public void Write(int register, byte value)
    {
        switch (register)
        {
            case 0 when IsLatch:
                _divisor = (ushort)((_divisor & 0xFF00) | value);
                break;
            case 0:
                Send(value);
                break;
            case 1 when IsLatch:
                _divisor = (ushort)((_divisor & 0xFF) | (value << 8));
                break;
            case 1:
                // Enabling the interrupt of an empty transmitter raises it at once.
                _transmitterInterrupt |= (value & ~_interruptEnable & 2) != 0 && _sending.Count == 0;
                _interruptEnable = (byte)(value & 0x0F);
                break;
            case 2:
                ControlFifo(value);
                break;
            case 3:
                _lineControl = value;
                break;
            case 4:
                _modemControl = (byte)(value & 0x1F);
                UpdateModemLines();
                _wantsTransfer();
                break;
            case 7:
                _scratch = value;
                break;
        }
    }

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
        int room = (_modemControl & ModemRequestToSend) != 0 ? Depth - _received.Count : 0;
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

    private byte ReadReceived()
    {
        Span<byte> one = stackalloc byte[1];
        one[0] = 0;
        bool wasFull = _received.Count >= Depth;
        _received.Dequeue(one);
        if (wasFull || _received.Count == 0)
        {
            _wantsTransfer();
        }

        return one[0];
    }

    private void Send(byte value)
    {
        Span<byte> one = [value];
        if (IsLooped)
        {
            if (_received.Count >= Depth)
            {
                _lineErrors |= LineOverrun;
            }
            else
            {
                _received.Enqueue(one);
            }

            _transmitterInterrupt = true;
            return;
        }

        // With all places taken the byte is lost, as in the hardware: software looks at LSR first.
        if (_sending.Count < Depth)
        {
            _sending.Enqueue(one);
        }

        _transmitterInterrupt = false;
        _wantsTransfer();
    }

    private void ControlFifo(byte value)
    {
        bool enable = (value & 1) != 0;
        if (enable != _fifoEnabled || (value & 2) != 0)
        {
            _received.Clear();
        }

        if (enable != _fifoEnabled || (value & 4) != 0)
        {
            _transmitterInterrupt |= _sending.Count != 0;
            _sending.Clear();
        }

        _fifoEnabled = enable;
        _triggerLevel = enable ? (value >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 } : 1;
        _wantsTransfer();
    }

    /// <summary>CTS, DSR, RI and DCD as they stand on the line, or as the modem control register loops them back.</summary>
    private byte ModemLines()
    {
        if (IsLooped)
        {
            return (byte)(((_modemControl & 2) << 3) | ((_modemControl & 1) << 5) | ((_modemControl & 4) << 4) | ((_modemControl & 8) << 4));
        }

        _isConnected = Backend.IsConnected;
        return (byte)(_isConnected ? 0xB0 : 0);
    }

    private void UpdateModemLines()
    {
        byte lines = ModemLines();
        byte old = (byte)(_modemStatus & 0xF0);
        byte changed = (byte)((lines ^ old) >> 4);

        // RI reports only its trailing edge.
        if ((lines & 0x40) != 0)
        {
            changed &= 0x0B;
        }

        _modemStatus = (byte)(lines | (_modemStatus & 0x0F) | changed);
    }

    /// <summary>The cause of the highest priority, as IIR shows it; 1 for none.</summary>
    private byte PendingInterrupt()
    {
        if ((_interruptEnable & 4) != 0 && (_lineErrors & LineErrors) != 0)
        {
            return 0x06;
        }

        if ((_interruptEnable & 1) != 0 && _received.Count != 0)
        {
            return _received.Count >= _triggerLevel ? (byte)0x04 : (byte)0x0C;
        }

        if ((_interruptEnable & 2) != 0 && _transmitterInterrupt)
        {
            return 0x02;
        }

        return (_interruptEnable & 8) != 0 && (_modemStatus & 0x0F) != 0 ? (byte)0x00 : (byte)0x01;
    }
}
