using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Bench;

/// <summary>A PCI device with declared registers; its DMA is at the benchmark's disposal.</summary>
internal sealed class MeasuredDevice : VfioPciDevice
{
    public DmaSpace Memory => Dma;

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
        => pci.Id(vendor: 0x1234, device: 0xBE4C).Class(0xFF, 0x00).Bar(0, new MeasuredRegisters(), size: 0x1000);
}
