namespace Vfio.Kernel;

/// <summary>The ways by which a kernel gives user space a device, in the order in which they are tried.</summary>
public enum KernelPath
{
    /// <summary>The device's own node and an address space of <c>/dev/iommu</c>: Linux 6.6 and later with <c>CONFIG_VFIO_DEVICE_CDEV</c>.</summary>
    Cdev,

    /// <summary>The group's node and a container <c>/dev/vfio/vfio</c> of type1v2: every kernel with VFIO.</summary>
    GroupType1,

    /// <summary>The group's node with <c>/dev/iommu</c> in the place of the container: where a kernel has no container, and no node a device.</summary>
    GroupIommufd,

    /// <summary>
    /// The group's node without any IOMMU: the device reaches all memory. Never by itself, see
    /// <see cref="KernelOptions.AllowUnsafeNoIommu"/>. Registers and interrupts work; <see cref="VfioConnection.AllocateDma"/> does not.
    /// </summary>
    NoIommu,
}
