using System.Globalization;

namespace Vfio.Kernel;

/// <summary>A PCI function as sysfs describes it, at the moment of the question.</summary>
/// <param name="Address">Where it is.</param>
/// <param name="VendorId">Vendor.</param>
/// <param name="DeviceId">Device.</param>
/// <param name="ClassCode">Base class, subclass and interface in 24 bits.</param>
/// <param name="Driver">The driver that has it; null for none.</param>
/// <param name="DriverOverride">The only driver that may take it; null for any that knows it.</param>
/// <param name="Group">The number of its IOMMU group; null for none, as when the IOMMU is off.</param>
/// <param name="VfioDevice">The name of its node in <c>/dev/vfio/devices</c>; null for none.</param>
public sealed record PciFunction(
    PciAddress Address,
    ushort VendorId,
    ushort DeviceId,
    uint ClassCode,
    string? Driver,
    string? DriverOverride,
    int? Group,
    string? VfioDevice)
{
    /// <summary>Vendor and device, as <c>1234:11e8</c>.</summary>
    public string Id => string.Create(CultureInfo.InvariantCulture, $"{VendorId:x4}:{DeviceId:x4}");

    /// <summary>Whether a VFIO driver has it, <c>vfio-pci</c> or a variant of it.</summary>
    public bool IsHeldByVfio => Driver is not null && Driver.Contains("vfio", StringComparison.Ordinal);

    /// <summary>
    /// Whether it keeps user space from its IOMMU group: a driver has it that uses DMA as the kernel does. Bridges' <c>pcieport</c>, <c>pci-stub</c>
    /// and VFIO's drivers do not (those with <c>driver_managed_dma</c>).
    /// </summary>
    public bool HoldsGroupBack => Driver is not null and not "pcieport" and not "pci-stub" && !IsHeldByVfio;
}
