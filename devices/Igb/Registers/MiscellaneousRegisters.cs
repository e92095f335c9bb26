using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Flexible filters, unicast table and time: 0x8000 to 0xBFFF of BAR 0. Only the unicast table has a meaning.</summary>
[RegisterFile("igb miscellaneous", Size = 0x4000)]
[ReservedRegisters(0x0FE0, 8, "management traffic")]
internal sealed partial class MiscellaneousRegisters
{
    [Register(0x0100, Name = "THMJT", Count = 5, Description = "thermal sensor of later controllers; reads what was written")]
    private partial Span<uint> Thermal { get; }

    [Register(0x0130, Name = "LEDMUX", Description = "reads what was written")]
    private partial uint LedSwitch { get; }

    [Register(0x1000, Name = "FFMT", Count = 256, Description = "flexible filters; reads what was written")]
    private partial Span<uint> FlexibleMask { get; }

    [Register(0x1800, Name = "FFVT", Count = 256, Description = "reads what was written")]
    private partial Span<uint> FlexibleValue { get; }

    [Register(0x2000, Name = "UTA", Count = 128, Description = "unicast hash table, for pools that accept it")]
    public partial Span<uint> Unicast { get; }

    [Register(0x3600, Name = "SYSTIM", Count = 31, Description = "IEEE 1588 time is not modelled; reads what was written")]
    private partial Span<uint> Time { get; }
}
