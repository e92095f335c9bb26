namespace Vfio.Abi;

public static partial class IommufdUapi
{
    public const uint IOMMU_DESTROY = 0x3B80;
    public const uint IOMMU_IOAS_ALLOC = 0x3B81;
    public const uint IOMMU_IOAS_IOVA_RANGES = 0x3B84;
    public const uint IOMMU_IOAS_ALLOW_IOVAS = 0x3B82;
    public const uint IOMMU_IOAS_MAP = 0x3B85;
    public const uint IOMMU_IOAS_NOIOMMU_GET_PA = 0x3B95;
    public const uint IOMMU_IOAS_MAP_FILE = 0x3B8F;
    public const uint IOMMU_IOAS_COPY = 0x3B83;
    public const uint IOMMU_IOAS_UNMAP = 0x3B86;
    public const uint IOMMU_OPTION = 0x3B87;
    public const uint IOMMU_VFIO_IOAS = 0x3B88;
    public const uint IOMMU_HWPT_ALLOC = 0x3B89;
    public const uint IOMMU_GET_HW_INFO = 0x3B8A;
    public const uint IOMMU_HWPT_SET_DIRTY_TRACKING = 0x3B8B;
    public const uint IOMMU_HWPT_GET_DIRTY_BITMAP = 0x3B8C;
    public const uint IOMMU_HWPT_INVALIDATE = 0x3B8D;
    public const uint IOMMU_FAULT_QUEUE_ALLOC = 0x3B8E;
    public const uint IOMMU_VIOMMU_ALLOC = 0x3B90;
    public const uint IOMMU_VDEVICE_ALLOC = 0x3B91;
    public const uint IOMMU_IOAS_CHANGE_PROCESS = 0x3B92;
    public const uint IOMMU_VEVENTQ_ALLOC = 0x3B93;
    public const uint IOMMU_HW_QUEUE_ALLOC = 0x3B94;
}
