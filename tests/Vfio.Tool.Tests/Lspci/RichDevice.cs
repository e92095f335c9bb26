using Vfio.Pci;

namespace Vfio.Tool.Tests.Lspci;

/// <summary>A device with every kind of BAR and every capability that the builder offers.</summary>
internal sealed class RichDevice : VfioPciDevice
{
    protected override void Configure(PciDeviceBuilder pci) => pci
        .Id(0x1AF4, 0x1041, revision: 7)
        .Subsystem(0x1AF4, 0x1100)
        .Class(0x01, 0x08, 0x02)
        .Intx(2)
        .Bar(0, 1UL << 20, PciBarKind.Memory64, prefetchable: true)
        .Bar(2, 4096UL, PciBarKind.Memory32, prefetchable: false)
        .Bar(3, 32UL, PciBarKind.Io, prefetchable: false)
        .Bar(4, 1UL << 33, PciBarKind.Memory64, prefetchable: false)
        .Rom(new byte[5000])
        .PowerManagement()
        .Msi(vectors: 8, maskable: true)
        .Msix(vectors: 65, bar: 2, tableOffset: 0x100)
        .Vendor([1, 2, 3, 4, 5])
        .Vendor([9], [0xFF])
        .PciExpress()
        .Aer()
        .SerialNumber(0x1122_3344_5566_7788)
        .VendorExtended(0xABCD, 3, [1, 2, 3, 4, 5, 6, 7, 8]);
}
