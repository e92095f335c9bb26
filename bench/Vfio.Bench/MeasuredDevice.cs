using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Bench;

/// <summary>A PCI device with one register map; its DMA is at the benchmark's disposal.</summary>
internal sealed class MeasuredDevice : VfioPciDevice
{
    private uint _register = 0x1234_5678;

    public DmaSpace Memory => Dma;

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        RegisterMap registers = new RegisterMap("measured", 0x100)
            .ReadWrite32(0x10, "register", () => _register, value => _register = value, "any value");
        pci.Id(vendor: 0x1234, device: 0xBE4C).Class(0xFF, 0x00).Bar(0, registers, size: 0x1000);
    }
}
