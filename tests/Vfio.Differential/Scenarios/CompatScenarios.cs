using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>Container commands on an iommufd (spec iommufd §6, vfio-core §5.15).</summary>
internal static class CompatScenarios
{
    private const ulong Page = 4096;
    private const uint ReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

    public static Subject Subject { get; } = new("compat",
    [
        new("without-address-space", static s =>
        {
            int iommufd = s.Iommufd();
            s.Value(iommufd, VFIO_GET_API_VERSION);
            Extensions(s, iommufd);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU);
            s.Value(iommufd, VFIO_SET_IOMMU, 99);
            s.Ioctl(iommufd, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
            s.Ioctl(iommufd, VFIO_IOMMU_GET_INFO, new vfio_iommu_type1_info { argsz = 15 });
            s.MapDma(iommufd, 0, 0, Page);
            s.MapDma(iommufd, 0, 0, Page, 8);
            s.UnmapDma(iommufd, 0, Page);
            s.UnmapDma(iommufd, 0, Page, 1);
            s.Ioctl(iommufd, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = 1 });
            s.Value(iommufd, VFIO_IOMMU_ENABLE);
        }),
        new("extensions-with-group", static s =>
        {
            (int iommufd, int group) = Open(s);
            Extensions(s, iommufd);
            s.DeviceOf(group);
            Extensions(s, iommufd);
        }),
        new("set-iommu", static s =>
        {
            (int iommufd, _) = Open(s);
            foreach (ulong type in (ulong[])[0, 1, 2, 3, 1, 4, 6, 7, 8, 99])
            {
                s.Value(iommufd, VFIO_SET_IOMMU, type);
            }
        }),
        new("info", static s =>
        {
            (int iommufd, int group) = Open(s);
            s.Ioctl(iommufd, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
            s.DeviceOf(group);
            s.Ioctl(iommufd, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
            foreach (uint argsz in (uint[])[15, 16, 23, 24, 40, 71, 72, 87, 88, 103, 104])
            {
                s.Ioctl(iommufd, VFIO_IOMMU_GET_INFO, new vfio_iommu_type1_info { argsz = argsz, flags = uint.MaxValue });
            }

            s.BadPointer(iommufd, VFIO_IOMMU_GET_INFO);
            s.ReadOnly(iommufd, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
        }),
        new("map-arguments", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, int group) = Open(s);
            s.DeviceOf(group);
            s.BadPointer(iommufd, VFIO_IOMMU_MAP_DMA);
            s.Ioctl(iommufd, VFIO_IOMMU_MAP_DMA, new vfio_iommu_type1_dma_map { argsz = 31, flags = ReadWrite, vaddr = memory.Address, iova = 0x10000, size = Page });
            foreach (uint flags in (uint[])[0, 1, 2, 3, 4, 7, 8])
            {
                s.MapDma(iommufd, memory.Address, 0x20000 + (flags * Page), Page, flags);
            }

            s.MapDma(iommufd, memory.Address, 0x21000, Page);
            s.MapDma(iommufd, memory.Address, 0x40000, 0);
            s.MapDma(iommufd, memory.Address, 0x40800, Page);
            s.MapDma(iommufd, memory.Address + 0x800, 0x40000, Page);
            s.MapDma(iommufd, memory.Address, 0x40000, 100);
            s.MapDma(iommufd, 0x1000, 0x40000, Page);
            s.MapDma(iommufd, memory.Address, 0xFEE00000, Page);
            s.MapDma(iommufd, memory.Address, 0xFFFFFFFFFFFFF000, 2 * Page);
            s.MapDma(iommufd, memory.Address, 1UL << 48, Page);
        }),
        new("map-without-rights", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, _) = Open(s);
            s.MapDma(iommufd, memory.Address, 0x10000, Page, 0);
        }),
        new("unmap", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, int group) = Open(s);
            s.DeviceOf(group);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.MapDma(iommufd, memory.Address, 0x10000, 4 * Page);
            s.UnmapDma(iommufd, 0x10000, Page);
            s.UnmapDma(iommufd, 0x12000, 4 * Page);
            s.UnmapDma(iommufd, 0x11000, Page);
            s.UnmapDma(iommufd, 0x10000, 0);
            s.UnmapDma(iommufd, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_ALL);
            s.UnmapDma(iommufd, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.UnmapDma(iommufd, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
            s.Ioctl(iommufd, VFIO_IOMMU_UNMAP_DMA, new vfio_iommu_type1_dma_unmap { argsz = 23, iova = 0x10000, size = Page });
            s.UnmapDma(iommufd, 0x100000, Page);
            s.UnmapDma(iommufd, 0xFFFFFFFFFFFFF000, 2 * Page);
            s.UnmapDma(iommufd, 0, 0x100000);
            s.UnmapDma(iommufd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
            s.MapDma(iommufd, memory.Address, 0x10000, 2 * Page);
            s.UnmapDma(iommufd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("unmap-is-not-atomic", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, int group) = Open(s);
            s.DeviceOf(group);
            s.MapDma(iommufd, memory.Address, 0x10000, Page);
            s.MapDma(iommufd, memory.Address, 0x20000, 2 * Page);
            s.UnmapDma(iommufd, 0, 0x21000);
            s.UnmapDma(iommufd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("v1-splits", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, int group) = Open(s);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
            s.DeviceOf(group);
            s.MapDma(iommufd, memory.Address, 0x10000, 4 * Page);
            s.UnmapDma(iommufd, 0x11000, Page);
            s.UnmapDma(iommufd, 0x11000, Page);
            s.UnmapDma(iommufd, 0x10800, Page);
            s.UnmapDma(iommufd, 0x10000, 4 * Page);
            s.UnmapDma(iommufd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("v1-after-mapping", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, int group) = Open(s);
            s.DeviceOf(group);
            s.MapDma(iommufd, memory.Address, 0x10000, 4 * Page);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
            s.UnmapDma(iommufd, 0x10000, 4 * Page);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
        }),
        new("address-space-of-ones-own", static s =>
        {
            UserBuffer memory = s.Memory();
            int iommufd = s.Iommufd();
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(iommufd, IommufdUapi.IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 1, ioas_id = ioas });
            s.MapDma(iommufd, memory.Address, 0x10000, Page);
            s.Unmap(iommufd, ioas, 0x10000, Page);
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            s.Ioctl(iommufd, IommufdUapi.IOMMU_VFIO_IOAS, default(iommu_vfio_ioas));
            s.DeviceOf(group);
            s.Destroy(iommufd, ioas);
        }),
        new("address-space-taken-away", static s =>
        {
            (int iommufd, int group) = Open(s);
            Outcome<iommu_vfio_ioas> compat = s.Ioctl(iommufd, IommufdUapi.IOMMU_VFIO_IOAS, default(iommu_vfio_ioas));
            s.Destroy(iommufd, compat.Argument.ioas_id);
            s.DeviceOf(group);
            s.Value(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
        }),
    ]);

    private static (int Iommufd, int Group) Open(Session s)
    {
        int iommufd = s.Iommufd();
        int group = s.Group();
        s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
        return (iommufd, group);
    }

    private static void Extensions(Session s, int iommufd)
    {
        for (ulong extension = 0; extension <= 11; extension++)
        {
            s.Value(iommufd, VFIO_CHECK_EXTENSION, extension);
        }
    }
}
