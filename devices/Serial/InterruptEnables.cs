namespace Vfio.Devices.Serial;

/// <summary>The bits of IER: which causes interrupt.</summary>
[Flags]
internal enum InterruptEnables : byte
{
    None = 0,
    Received = 1,
    Transmitter = 2,
    LineStatus = 4,
    ModemStatus = 8,
    All = Received | Transmitter | LineStatus | ModemStatus,
}
