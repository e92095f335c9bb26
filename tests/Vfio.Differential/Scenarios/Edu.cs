namespace Vfio.Differential;

/// <summary>Registers of <see cref="ModelDevice"/>, and what scenarios have it do.</summary>
internal static class Edu
{
    public const ulong Identification = 0x00;
    public const ulong Liveness = 0x04;
    public const ulong Raise = 0x60;
    public const ulong Acknowledge = 0x64;
    public const ulong InterruptStatus = 0x24;
    public const ulong DmaSource = 0x80;
    public const ulong DmaDestination = 0x88;
    public const ulong DmaCount = 0x90;
    public const ulong DmaCommand = 0x98;

    /// <summary>Signals one message vector; not edu's.</summary>
    public const ulong Vector = 0x30;
    private const ulong Buffer = 0x40000;
    private const int CommandRegister = 0x04;
    private const ulong MemoryAndBusMaster = 0x0006;

    /// <summary>Lets the device decode its BAR and reach memory.</summary>
    public static void EnableBusMaster(Session s, int device) => s.Store(device, PciRegion.Config, CommandRegister, 2, MemoryAndBusMaster);

    /// <summary>Moves bytes between memory and the device's buffer, and waits until that is done.</summary>
    public static void Transfer(Session s, int device, ulong iova, ulong count, bool toMemory)
    {
        s.Store(device, PciRegion.Bar0, DmaSource, 8, toMemory ? Buffer : iova);
        s.Store(device, PciRegion.Bar0, DmaDestination, 8, toMemory ? iova : Buffer);
        s.Store(device, PciRegion.Bar0, DmaCount, 8, count);
        s.Store(device, PciRegion.Bar0, DmaCommand, 8, toMemory ? 3UL : 1UL);
        s.WaitUntil(device, PciRegion.Bar0, DmaCommand, static value => (value & 1) == 0);
    }
}
