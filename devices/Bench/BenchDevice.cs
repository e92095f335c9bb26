using Vfio.Pci;

namespace Vfio.Devices.Bench;

/// <summary>
/// A device to be measured: scratch registers for round trips, and commands that run address look-ups and DMA in a loop and report the
/// time. The README has the registers.
/// </summary>
/// <remarks>
/// Against the rule for devices, commands run inside the write of the command register, as the measuring clients expect; with memory
/// that is reached by messages the write is answered before they run.
/// </remarks>
public sealed class BenchDevice : VfioPciDevice
{
    private const ulong BarSize = 4096;

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x1234, device: 0xBE4C)
            .Class(0xFF, 0x00)
            .Intx()
            .Bar(0, new BenchRegisters(Dma), BarSize)
            .Msi(vectors: 1);
    }
}
