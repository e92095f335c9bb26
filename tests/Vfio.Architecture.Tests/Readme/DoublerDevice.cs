using Vfio.Pci;

namespace Vfio.Architecture.Tests.Readme;

public sealed class DoublerDevice : VfioPciDevice
{
    private readonly RegisterMap _registers;
    private uint _value;

    public DoublerDevice() => _registers = new RegisterMap("doubler", 0x100)
        .ReadOnly32(0x00, "identification", () => 0xD0B1_0001)
        .ReadWrite32(0x04, "value", () => _value, Store, "reads twice what was written, and interrupts");

    protected override void Configure(PciDeviceBuilder pci) => pci
        .Id(vendor: 0x1234, device: 0xD0B1)
        .Class(0xFF, 0x00)
        .Bar(0, _registers, size: 0x1000)
        .Msi(vectors: 1);

    private void Store(uint value)
    {
        _value = value * 2;
        Interrupts.Signal(0);
    }
}
