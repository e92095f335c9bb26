using Vfio.Iommu;

namespace Vfio.Pci;

/// <summary>A function's place on a <see cref="PciBus"/>.</summary>
public sealed class PciFunction
{
    internal PciFunction(PciBus bus, int device, int function)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(device);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(device, 31);
        ArgumentOutOfRangeException.ThrowIfNegative(function);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(function, 7);
        Bus = bus;
        DeviceFunction = (byte)((device << 3) | function);
    }

    /// <summary>The bus.</summary>
    public PciBus Bus { get; }

    /// <summary>Device number in bits 3 to 7, function number in bits 0 to 2.</summary>
    public byte DeviceFunction { get; }

    /// <summary>The VFIO device there; null for a function that another driver, or none, has.</summary>
    public VfioPciDevice? Device { get; internal init; }

    /// <summary>The IOMMU group, as far as it is known: of a device of ours while it is registered.</summary>
    public IommuGroup? Group => Device is null ? ForeignGroup : Device.Group?.IommuGroup;

    internal IommuGroup? ForeignGroup { get; init; }

    /// <summary>As Linux writes it, such as <c>0000:06:0d.0</c>.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"{Bus.Segment:x4}:{Bus.Number:x2}:{DeviceFunction >> 3:x2}.{DeviceFunction & 7}";
}
