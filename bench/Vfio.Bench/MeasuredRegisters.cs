using Vfio.Pci;

namespace Vfio.Bench;

/// <summary>Registers as a device has them, of which one is measured.</summary>
[RegisterFile("measured", Size = 0x100)]
internal sealed partial class MeasuredRegisters
{
    [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 1)]
    public partial uint Identification { get; }

    [Register(0x10, Reset = 0x1234_5678, Description = "any value")]
    public partial uint Register { get; set; }

    [Register(0x20, Access = RegisterAccess.WriteOneToClear)]
    public partial uint Causes { get; set; }
}
