using System.IO.Pipelines;
using Vfio.Abi;

namespace Vfio.Drivers.Serial;

/// <summary>One port of a serial card.</summary>
/// <remarks>
/// Nothing that arrives is lost while the other side obeys RTS: when nobody receives, the driver stops taking bytes, and takes RTS away, at
/// 64 KiB. One sender and one receiver at a time. Lock order: <c>_lock</c> is a leaf.
/// </remarks>
public sealed class SerialPort
{
    private const int FifoSize = 16;
    private readonly VfioConnection _connection;
    private readonly VfioRegion _bar;
    private readonly ulong _base;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _transmitter = new(0, 1);
    private readonly Pipe _received = new(new PipeOptions(useSynchronizationContext: false));
    private byte _enabled;
    private byte _modem;

    internal SerialPort(VfioConnection connection, VfioRegion bar, ulong offset)
    {
        _connection = connection;
        _bar = bar;
        _base = offset;
    }

    /// <summary>How many times the card had to drop a byte because its FIFO was full.</summary>
    public int Overruns { get; private set; }

    /// <summary>Waits for bytes from the line.</summary>
    /// <param name="buffer">Receives them.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>How many came, at least 1 unless the buffer is empty.</returns>
    /// <exception cref="VfioException">The device has gone.</exception>
    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty)
        {
            return 0;
        }

        ReadResult result = await _received.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        int count = (int)Math.Min(result.Buffer.Length, buffer.Length);
        System.Buffers.BuffersExtensions.CopyTo(result.Buffer.Slice(0, count), buffer.Span);
        _received.Reader.AdvanceTo(result.Buffer.GetPosition(count));
        return count;
    }

    /// <summary>Sends bytes. On return the card has them, see <see cref="DrainAsync"/>.</summary>
    /// <param name="data">The bytes.</param>
    /// <param name="cancellationToken">Ends the sending between two bytes.</param>
    /// <returns>A task that completes when the card has taken all.</returns>
    /// <exception cref="VfioException">The device refused, or has gone.</exception>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        while (!data.IsEmpty)
        {
            await WaitForTransmitterAsync(SerialRegister.TransmitterEmpty, cancellationToken).ConfigureAwait(false);
            int count = Math.Min(data.Length, FifoSize);
            foreach (byte value in data.Span[..count])
            {
                _bar.Write8(_base + SerialRegister.Data, value);
            }

            data = data[count..];
        }
    }

    /// <summary>Waits until everything that was sent is on the line.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A task that completes when the transmitter is idle.</returns>
    public async ValueTask DrainAsync(CancellationToken cancellationToken = default)
    {
        await WaitForTransmitterAsync(SerialRegister.TransmitterEmpty, cancellationToken).ConfigureAwait(false);
        while ((_bar.Read8(_base + SerialRegister.LineStatus) & SerialRegister.LineIdle) == 0)
        {
            // The shift register empties in the time of one byte, and has no interrupt.
            await Task.Delay(1, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Sets the speed of the line.</summary>
    /// <param name="bitsPerSecond">115200 divided by a whole number.</param>
    public void SetSpeed(int bitsPerSecond)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bitsPerSecond);
        int divisor = 115200 / bitsPerSecond;
        if (divisor is < 1 or > ushort.MaxValue || divisor * bitsPerSecond != 115200)
        {
            throw new ArgumentOutOfRangeException(nameof(bitsPerSecond), bitsPerSecond, "A speed is 115200 divided by a whole number up to 65535.");
        }

        // While the latch is open, data and interrupt enable are not there: nobody else may touch the port.
        lock (_lock)
        {
            _bar.Write8(_base + SerialRegister.LineControl, SerialRegister.EightBits | SerialRegister.DivisorLatch);
            _bar.Write8(_base + SerialRegister.Data, (byte)divisor);
            _bar.Write8(_base + SerialRegister.InterruptEnable, (byte)(divisor >> 8));
            _bar.Write8(_base + SerialRegister.LineControl, SerialRegister.EightBits);
        }
    }

    internal void Start()
    {
        _bar.Write8(_base + SerialRegister.Scratch, 0x5A);
        if (_bar.Read8(_base + SerialRegister.Scratch) != 0x5A)
        {
            throw new VfioException(Errno.ENODEV, $"drive {_connection.Address} as a serial card", $"There is no port at offset 0x{_base:x}: its scratch register keeps nothing.");
        }

        _bar.Write8(_base + SerialRegister.LineControl, SerialRegister.EightBits);
        _bar.Write8(_base + SerialRegister.FifoControl, SerialRegister.FifoOnAndClear);
        lock (_lock)
        {
            SetModem(SerialRegister.Ready | SerialRegister.RequestToSend | SerialRegister.InterruptOut);
            SetEnabled(SerialRegister.EnableReceived);
        }
    }

    internal void Stop()
    {
        lock (_lock)
        {
            try
            {
                SetEnabled(0);
                SetModem(0);
            }
            catch (VfioException)
            {
                // Gone already.
            }
        }

        _received.Writer.Complete(new VfioException(Errno.ENOTCONN, $"receive from {_connection.Address}", "The driver was disposed."));
    }

    internal void Fail(VfioException exception)
    {
        _received.Writer.Complete(exception);
        Release();
    }

    /// <summary>Deals with one cause of the port's interrupt.</summary>
    /// <returns>False when it had none.</returns>
    internal bool Serve()
    {
        lock (_lock)
        {
            byte cause = _bar.Read8(_base + SerialRegister.InterruptCause);
            if ((cause & SerialRegister.NothingPending) != 0)
            {
                return false;
            }

            switch (cause & SerialRegister.CauseMask)
            {
                case SerialRegister.CauseLineStatus:
                    NoteErrors(_bar.Read8(_base + SerialRegister.LineStatus));
                    break;
                case SerialRegister.CauseReceived or SerialRegister.CauseTimeout:
                    Receive();
                    break;
                case SerialRegister.CauseTransmitter:
                    SetEnabled((byte)(_enabled & ~SerialRegister.EnableTransmitter));
                    Release();
                    break;
                default:
                    _ = _bar.Read8(_base + SerialRegister.ModemStatus);
                    break;
            }

            return true;
        }
    }

    private void NoteErrors(byte status) => Overruns += (status & SerialRegister.Overrun) != 0 ? 1 : 0;

    /// <summary>Caller holds the lock.</summary>
    private void Receive()
    {
        Span<byte> bytes = _received.Writer.GetSpan(FifoSize);
        int count = 0;
        byte status = _bar.Read8(_base + SerialRegister.LineStatus);
        while ((status & SerialRegister.DataReady) != 0 && count < FifoSize)
        {
            NoteErrors(status);
            bytes[count++] = _bar.Read8(_base + SerialRegister.Data);
            status = _bar.Read8(_base + SerialRegister.LineStatus);
        }

        _received.Writer.Advance(count);
        ValueTask<FlushResult> room = _received.Writer.FlushAsync();
        if (!room.IsCompleted)
        {
            SetModem((byte)(_modem & ~SerialRegister.RequestToSend));
            SetEnabled((byte)(_enabled & ~SerialRegister.EnableReceived));
            _ = ResumeAsync(room);
        }
    }

    private async Task ResumeAsync(ValueTask<FlushResult> room)
    {
        await room.ConfigureAwait(false);
        lock (_lock)
        {
            try
            {
                SetModem((byte)(_modem | SerialRegister.RequestToSend));
                SetEnabled((byte)(_enabled | SerialRegister.EnableReceived));
            }
            catch (VfioException)
            {
                // Gone; the service tells the receiver.
            }
        }
    }

    private async ValueTask WaitForTransmitterAsync(byte status, CancellationToken cancellationToken)
    {
        while ((_bar.Read8(_base + SerialRegister.LineStatus) & status) == 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            lock (_lock)
            {
                // With the interrupt of an empty transmitter on, an empty one interrupts at once.
                SetEnabled((byte)(_enabled | SerialRegister.EnableTransmitter));
            }

            await _transmitter.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private void Release()
    {
        if (_transmitter.CurrentCount == 0)
        {
            _transmitter.Release();
        }
    }

    private void SetEnabled(byte causes)
    {
        _enabled = causes;
        _bar.Write8(_base + SerialRegister.InterruptEnable, causes);
    }

    private void SetModem(byte lines)
    {
        _modem = lines;
        _bar.Write8(_base + SerialRegister.ModemControl, lines);
    }
}
