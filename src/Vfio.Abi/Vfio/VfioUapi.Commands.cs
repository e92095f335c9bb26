namespace Vfio.Abi;

public static partial class VfioUapi
{
    public const uint VFIO_GET_API_VERSION = 0x3B64;
    public const uint VFIO_CHECK_EXTENSION = 0x3B65;
    public const uint VFIO_SET_IOMMU = 0x3B66;
    public const uint VFIO_GROUP_GET_STATUS = 0x3B67;
    public const uint VFIO_GROUP_SET_CONTAINER = 0x3B68;
    public const uint VFIO_GROUP_UNSET_CONTAINER = 0x3B69;
    public const uint VFIO_GROUP_GET_DEVICE_FD = 0x3B6A;
    public const uint VFIO_DEVICE_GET_INFO = 0x3B6B;
    public const uint VFIO_DEVICE_GET_REGION_INFO = 0x3B6C;
    public const uint VFIO_DEVICE_GET_IRQ_INFO = 0x3B6D;
    public const uint VFIO_DEVICE_SET_IRQS = 0x3B6E;
    public const uint VFIO_DEVICE_RESET = 0x3B6F;
    public const uint VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = 0x3B70;
    public const uint VFIO_DEVICE_PCI_HOT_RESET = 0x3B71;
    public const uint VFIO_DEVICE_QUERY_GFX_PLANE = 0x3B72;
    public const uint VFIO_DEVICE_GET_GFX_DMABUF = 0x3B73;
    public const uint VFIO_DEVICE_IOEVENTFD = 0x3B74;
    public const uint VFIO_DEVICE_FEATURE = 0x3B75;
    public const uint VFIO_DEVICE_BIND_IOMMUFD = 0x3B76;
    public const uint VFIO_DEVICE_ATTACH_IOMMUFD_PT = 0x3B77;
    public const uint VFIO_DEVICE_DETACH_IOMMUFD_PT = 0x3B78;
    public const uint VFIO_MIG_GET_PRECOPY_INFO = 0x3B79;
    public const uint VFIO_IOMMU_GET_INFO = 0x3B70;
    public const uint VFIO_IOMMU_MAP_DMA = 0x3B71;
    public const uint VFIO_IOMMU_UNMAP_DMA = 0x3B72;
    public const uint VFIO_IOMMU_ENABLE = 0x3B73;
    public const uint VFIO_IOMMU_DISABLE = 0x3B74;
    public const uint VFIO_IOMMU_DIRTY_PAGES = 0x3B75;
    public const uint VFIO_IOMMU_SPAPR_TCE_GET_INFO = 0x3B70;
    public const uint VFIO_EEH_PE_OP = 0x3B79;
    public const uint VFIO_IOMMU_SPAPR_REGISTER_MEMORY = 0x3B75;
    public const uint VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY = 0x3B76;
    public const uint VFIO_IOMMU_SPAPR_TCE_CREATE = 0x3B77;
    public const uint VFIO_IOMMU_SPAPR_TCE_REMOVE = 0x3B78;
}
