namespace Vfio.Iommu;

/// <summary>A page that a device asks for, because its page table does not map it.</summary>
/// <param name="Address">The I/O virtual address.</param>
/// <param name="Permissions">What the device wants to do: <c>IOMMU_PGFAULT_PERM_*</c>.</param>
/// <param name="GroupId">The device's number for the group of requests that this is one of.</param>
/// <param name="Pasid">The PASID; 0 for DMA without one.</param>
public readonly record struct PageFault(ulong Address, uint Permissions, uint GroupId = 0, uint Pasid = 0);
