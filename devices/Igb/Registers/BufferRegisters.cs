using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Flow control and packet buffers: 0x2000 to 0x27FF of BAR 0. The model has one buffer in memory and looks at none of these.</summary>
[RegisterFile("igb buffers", Size = 0x800)]
internal sealed partial class BufferRegisters
{
    [Register(0x160, Name = "FCRTL", Description = "reads what was written")]
    private partial uint FlowLow { get; }

    [Register(0x168, Name = "FCRTH", Description = "reads what was written")]
    private partial uint FlowHigh { get; }

    [Register(0x170, Name = "FCRTC", Description = "reads what was written")]
    private partial uint FlowCoalescing { get; }

    [Register(0x404, Name = "RXPBS", Reset = 0x40, Description = "KiB for received packets; reads what was written")]
    private partial uint ReceiveSize { get; }

    [Register(0x408, Name = "QDE", Description = "pools that drop when they have no descriptors, 7:0")]
    public partial uint PoolDrops { get; }

    [Register(0x460, Name = "FCRTV", Description = "reads what was written")]
    private partial uint FlowRefresh { get; }

    [Register(0x508, Name = "DMACR", Description = "reads what was written")]
    private partial uint Coalescing { get; }

    [Register(0x514, Name = "DMCTLX", Description = "reads what was written")]
    private partial uint CoalescingTime { get; }
}
