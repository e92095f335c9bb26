namespace Vfio.Drivers.Edu;

/// <summary>The registers of BAR 0, by offset, and their bits.</summary>
internal static class EduRegister
{
    public const ulong Identification = 0x00;
    public const ulong Liveness = 0x04;
    public const ulong Factorial = 0x08;
    public const ulong Status = 0x20;
    public const ulong InterruptStatus = 0x24;
    public const ulong InterruptRaise = 0x60;
    public const ulong InterruptAcknowledge = 0x64;
    public const ulong DmaSource = 0x80;
    public const ulong DmaDestination = 0x88;
    public const ulong DmaCount = 0x90;
    public const ulong DmaCommand = 0x98;

    public const uint StatusInterruptWhenDone = 0x80;
    public const uint FactorialDone = 0x001;
    public const uint DmaDone = 0x100;
    public const uint DmaStart = 1;
    public const uint DmaToMemory = 2;
    public const uint DmaInterrupt = 4;
}
