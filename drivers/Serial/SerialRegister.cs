namespace Vfio.Drivers.Serial;

/// <summary>The registers of a 16550A, by offset in its port, and their bits.</summary>
internal static class SerialRegister
{
    public const ulong Data = 0;
    public const ulong InterruptEnable = 1;
    public const ulong InterruptCause = 2;
    public const ulong FifoControl = 2;
    public const ulong LineControl = 3;
    public const ulong ModemControl = 4;
    public const ulong LineStatus = 5;
    public const ulong ModemStatus = 6;
    public const ulong Scratch = 7;

    /// <summary>Bytes from one port's registers to the next one's.</summary>
    public const ulong Stride = 8;

    public const byte EnableReceived = 1;
    public const byte EnableTransmitter = 2;

    public const byte NothingPending = 1;
    public const byte CauseMask = 0x0E;
    public const byte CauseModem = 0x00;
    public const byte CauseTransmitter = 0x02;
    public const byte CauseReceived = 0x04;
    public const byte CauseLineStatus = 0x06;
    public const byte CauseTimeout = 0x0C;

    /// <summary>FIFOs on and emptied, interrupt at eight received bytes.</summary>
    public const byte FifoOnAndClear = 0x87;

    /// <summary>Eight bits, no parity, one stop bit.</summary>
    public const byte EightBits = 0x03;
    public const byte DivisorLatch = 0x80;

    public const byte Ready = 0x01;
    public const byte RequestToSend = 0x02;

    /// <summary>OUT2, which on many cards lets the interrupt out.</summary>
    public const byte InterruptOut = 0x08;
    public const byte Loopback = 0x10;

    public const byte DataReady = 0x01;
    public const byte Overrun = 0x02;
    public const byte TransmitterEmpty = 0x20;
    public const byte LineIdle = 0x40;
}
