using Vfio.Pci;

namespace Vfio.Architecture.Tests.Readme;

public sealed partial class DoublerDevice : VfioPciDevice
{
    protected override void Configure(PciDeviceBuilder pci) => pci
        .Id(vendor: 0x1234, device: 0xD0B1)
        .Class(0xFF, 0x00)
        .Bar(0, new Registers(this), size: 0x1000)
        .Msi(vectors: 1);

    [RegisterFile("doubler", Size = 0x100)]
    private sealed partial class Registers(DoublerDevice device)
    {
        [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 0xD0B1_0001)]
        public partial uint Identification { get; }

        [Register(0x04, BeforeWrite = nameof(Double), AfterWrite = nameof(Interrupt), Description = "reads twice what was written, and interrupts")]
        public partial uint Value { get; }

        private static uint Double(uint value) => value * 2;

        private void Interrupt() => device.Interrupts.Signal(0);
    }
}
