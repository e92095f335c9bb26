using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>The sixteen receive queues: 0xC000 to 0xC3FF of BAR 0; queues 0 to 3 also at 0x2800, 0x2900 and so on.</summary>
/// <param name="device">The device.</param>
[RegisterFile("igb receive queues", Size = 0x400)]
internal sealed partial class ReceiveQueueRegisters(IgbDevice device)
{
    public const uint Enable = 1U << 25;

    [Register(0x00, Name = "RDBAL", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteBase), Description = "ring, a multiple of 128")]
    public partial Span<uint> BaseLow { get; }

    [Register(0x04, Name = "RDBAH", Count = 16, Stride = 0x40)]
    public partial Span<uint> BaseHigh { get; }

    [Register(0x08, Name = "RDLEN", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteLength), Description = "bytes of the ring, a multiple of 128")]
    public partial Span<uint> Length { get; }

    [Register(0x0C, Name = "SRRCTL", Count = 16, Stride = 0x40, Reset = 0x400, Description = "6:0 KiB of a packet buffer, 13:8 header buffer in 64 bytes, 27:25 descriptors: 0 legacy, 1 one buffer, 2 and 5 header split; 31 drop")]
    public partial Span<uint> Split { get; }

    [Register(0x10, Name = "RDH", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteIndex), Description = "the next descriptor that is filled")]
    public partial Span<uint> Head { get; }

    [Register(0x14, Name = "RXCTL", Count = 16, Stride = 0x40, Description = "cache access; reads what was written")]
    private partial Span<uint> CacheAccess { get; }

    [Register(0x18, Name = "RDT", Count = 16, Stride = 0x40, BeforeWrite = nameof(WriteIndex), AfterWrite = nameof(Supplied), Description = "behind the last descriptor that may be filled")]
    public partial Span<uint> Tail { get; }

    [Register(0x28, Name = "RXDCTL", Count = 16, Stride = 0x40, AfterWrite = nameof(Controlled), Description = "25 enable; thresholds read what was written")]
    public partial Span<uint> Control { get; }

    [Register(0x30, Name = "RQDPC", Count = 16, Stride = 0x40, Access = RegisterAccess.ReadToClear, Description = "packets that were dropped for want of descriptors")]
    public partial Span<uint> Dropped { get; }

    [Register(0x38, Name = "DVMOLR", Count = 16, Stride = 0x40, Description = "of later controllers; reads what was written")]
    private partial Span<uint> Offload { get; }

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
        Dropped[queue] = 0;
        Split[queue] = 0x400;
    }

    private static uint WriteBase(int queue, uint value) => value & ~0x7FU;

    private static uint WriteLength(int queue, uint value) => value & 0xF_FF80;

    private static uint WriteIndex(int queue, uint value) => value & 0xFFFF;

    private void Supplied(int queue) => device.Wake();

    private void Controlled(int queue, uint value, uint old)
    {
        if ((value & ~old & Enable) != 0)
        {
            device.Wake();
        }
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => Control[0] = Enable;
}
