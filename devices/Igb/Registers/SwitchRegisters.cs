using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Transmission between pools: 0x3400 to 0x37FF of BAR 0.</summary>
[RegisterFile("igb switch", Size = 0x400)]
internal sealed partial class SwitchRegisters
{
    [Register(0x004, Name = "TXPBS", Reset = 0x28, Description = "KiB for packets to send; reads what was written")]
    private partial uint TransmitSize { get; }

    [Register(0x010, Name = "TDFH", Count = 5, Stride = 8, Description = "FIFO of the hardware; reads what was written")]
    private partial Span<uint> Fifo { get; }

    [Register(0x100, Name = "DTXSWC", Description = "7:0 and 15:8 spoof checks of each pool, 23:16 local loopback, 31 loopback between pools")]
    public partial uint Switching { get; }

    [Register(0x148, Name = "LVMMC", Access = RegisterAccess.ReadToClear, Description = "the last misbehaviour of a pool")]
    public partial uint LastMisbehaviour { get; set; }

    [Register(0x150, Name = "DMCTXTH", Description = "reads what was written")]
    private partial uint CoalescingThreshold { get; }

    [Register(0x154, Name = "WVBR", Access = RegisterAccess.WriteOneToClear, Description = "pools whose packets were dropped as spoofed")]
    public partial uint WrongBehaviour { get; set; }

    [Register(0x190, Name = "DTXCTL", Description = "reads what was written")]
    private partial uint TransmitDma { get; }

    [Register(0x204, Name = "RTTDQSEL", Description = "reads what was written")]
    private partial uint QueueSelect { get; }

    [Register(0x290, Name = "RTTBCNRM", Description = "reads what was written")]
    private partial uint RateMemory { get; }

    [Register(0x2B0, Name = "RTTBCNRC", Description = "rate limits are not modelled; reads what was written")]
    private partial uint RateControl { get; }

    [Register(0x300, Name = "VMVIR", Count = 8, Description = "of each pool: 15:0 VLAN tag, 31:30 1 always insert it, 2 never insert one")]
    public partial Span<uint> PoolVlan { get; }
}
