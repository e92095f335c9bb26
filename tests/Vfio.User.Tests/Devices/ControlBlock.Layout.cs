namespace Vfio.User.Tests.Devices;

/// <content>Where the registers are and what they take; the programs that tests start are built with it too.</content>
public sealed partial class ControlBlock
{
    public const ulong ScratchEnd = 0x80;
    public const ulong DmaAddress = 0x80;
    public const ulong DmaLength = 0x88;
    public const ulong DmaCommand = 0x8C;
    public const ulong DmaResult = 0x90;
    public const ulong DmaCount = 0x94;
    public const ulong DmaInRead = 0x98;
    public const ulong SignalVector = 0x9C;
    public const ulong Level = 0xA0;
    public const ulong Sleep = 0xA8;
    public const ulong ThreadAllocations = 0xB0;
    public const uint ReadInHandler = 1;
    public const uint WriteInHandler = 2;
    public const uint ReadInWork = 3;
    public const uint WriteInWork = 4;
}
