namespace Vfio.Iommu;

/// <summary>A device's access that no mapping allowed.</summary>
/// <param name="Address">The I/O virtual address.</param>
/// <param name="Access">What the device tried.</param>
public readonly record struct IommuFault(ulong Address, DmaAccess Access);
