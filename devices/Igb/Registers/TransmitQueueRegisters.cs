using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>The sixteen transmit queues: 0xE000 to 0xE3FF of BAR 0; queues 0 to 3 also at 0x3800, 0x3900 and so on.</summary>
/// <param name="device">The device.</param>
[RegisterFile("igb transmit queues", Size = 0x400)]
internal sealed partial class TransmitQueueRegisters(IgbDevice device)
{
    public const uint Enable = 1U << 25;

    [Register(0x00, Name = "TDBAL", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteBase), Description = "ring, a multiple of 128")]
    public partial Span<uint> BaseLow { get; }

    [Register(0x04, Name = "TDBAH", Count = 16, Stride = 0x40)]
    public partial Span<uint> BaseHigh { get; }

    [Register(0x08, Name = "TDLEN", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteLength), Description = "bytes of the ring, a multiple of 128")]
    public partial Span<uint> Length { get; }

    [Register(0x10, Name = "TDH", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteIndex), Description = "the next descriptor that is sent")]
    public partial Span<uint> Head { get; }

    [Register(0x14, Name = "TXCTL", Count = 16, Stride = 0x40, Description = "cache access; reads what was written")]
    private partial Span<uint> CacheAccess { get; }

    [Register(0x18, Name = "TDT", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteIndex), AfterWrite = nameof(Supplied), Description = "behind the last descriptor that is sent")]
    public partial Span<uint> Tail { get; }

    [Register(0x28, Name = "TXDCTL", Count = 16, Stride = 0x40, AfterWrite = nameof(Controlled), Description = "25 enable; thresholds and priority read what was written")]
    public partial Span<uint> Control { get; }

    [Register(0x38, Name = "TDWBAL", Count = 16, Stride = 0x40, Description = "bit 0: the head is written to memory, at 31:2")]
    public partial Span<uint> WriteBackLow { get; }

    [Register(0x3C, Name = "TDWBAH", Count = 16, Stride = 0x40)]
    public partial Span<uint> WriteBackHigh { get; }

    public ulong Base(int queue) => BaseLow[queue] | ((ulong)BaseHigh[queue] << 32);

    public bool IsEnabled(int queue) => (Control[queue] & Enable) != 0;

    /// <summary>Resets one queue, which is off afterwards.</summary>
    public void Reset(int queue)
    {
        BaseLow[queue] = 0;
        BaseHigh[queue] = 0;
        Length[queue] = 0;
        Head[queue] = 0;
        Tail[queue] = 0;
        Control[queue] = 0;
        WriteBackLow[queue] = 0;
        WriteBackHigh[queue] = 0;
    }

    private static uint WriteBase(int queue, uint value) => value & ~0x7FU;

    private static uint WriteLength(int queue, uint value) => value & 0xF_FF80;

    private static uint WriteIndex(int queue, uint value) => value & 0xFFFF;

    private void Supplied(int queue) => device.Wake();

    private void Controlled(int queue, uint value, uint old)
    {
        if ((value & ~old & Enable) != 0)
        {
            device.TransmitEnabled(queue);
        }
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => Control[0] = Enable;
}
