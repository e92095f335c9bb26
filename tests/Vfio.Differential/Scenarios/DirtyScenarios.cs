using Vfio.Abi;
using System.Runtime.InteropServices;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>Dirty pages of a container (spec vfio-core §8.6). The device never pins, so that all mapped pages count as dirty.</summary>
internal static class DirtyScenarios
{
    private const ulong Page = 4096;

    public static Subject Subject { get; } = new("type1-dirty",
    [
        new("v1-has-none", static s =>
        {
            (int container, _) = s.OpenContainer(type: VFIO_TYPE1_IOMMU);
            s.Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START });
            s.BadPointer(container, VFIO_IOMMU_DIRTY_PAGES);
        }),
        new("sizes-and-flags", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.BadPointer(container, VFIO_IOMMU_DIRTY_PAGES);
            s.Cut(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = 1 }, 7);
            s.Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { argsz = 7, flags = 1 });
            foreach (uint flags in (uint[])[0, 3, 5, 6, 7, 8, 0x80000000])
            {
                s.Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = flags });
            }
        }),
        new("start-and-stop-are-idempotent", static s =>
        {
            (int container, _) = s.OpenContainer();
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
        }),
        new("get-needs-tracking", static s =>
        {
            UserBuffer memory = s.Memory(4);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0, 4 * Page);
            Get(s, container, 0, 4 * Page, Page, 8, bitmap.Address);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Get(s, container, 0, 4 * Page, Page, 8, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..8]);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
            Get(s, container, 0, 4 * Page, Page, 8, bitmap.Address);
        }),
        new("get-arguments", static s =>
        {
            UserBuffer memory = s.Memory(10);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0, 10 * Page);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Get(s, container, 0, 10 * Page, Page, 8, bitmap.Address, argsz: 47);
            Get(s, container, 0, 0, Page, 8, bitmap.Address);
            Get(s, container, ulong.MaxValue - 0xFFF, 2 * Page, Page, 8, bitmap.Address);
            Get(s, container, 0, 10 * Page, 2 * Page, 8, bitmap.Address);
            Get(s, container, 0, 10 * Page, 0x800, 8, bitmap.Address);
            Get(s, container, 0, 10 * Page, Page, 0, bitmap.Address);
            Get(s, container, 0, 10 * Page, Page, 7, bitmap.Address);
            Get(s, container, 0, 10 * Page, Page, 0x10000001, bitmap.Address);
            Get(s, container, 0, 10 * Page, Page, 8, 0xFFFF800000000000);
            Get(s, container, 0x800, 9 * Page, Page, 8, bitmap.Address);
            Get(s, container, 0, (9 * Page) + 0x800, Page, 8, bitmap.Address);
            Get(s, container, 0, 9 * Page, Page, 8, bitmap.Address);
            Get(s, container, Page, 9 * Page, Page, 8, bitmap.Address);
            Get(s, container, 0, 10 * Page, Page, 8, 0x1000);
            Get(s, container, 0, 10 * Page, Page, 16, bitmap.Address);
        }),
        new("get-of-holes", static s =>
        {
            UserBuffer memory = s.Memory(8);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0, 4 * Page);
            s.MapDma(container, memory.Address, 5 * Page, 3 * Page);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Get(s, container, 0, 8 * Page, Page, 8, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..8]);
            Get(s, container, 0, 8 * Page, Page, 8, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..8]);
            Get(s, container, 0x100000, 8 * Page, Page, 8, bitmap.Address);
        }),
        new("get-of-more-than-a-word", static s =>
        {
            UserBuffer memory = s.Memory(65);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x100000, 65 * Page);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Get(s, container, 0x100000, 65 * Page, Page, 8, bitmap.Address);
            Get(s, container, 0x100000, 65 * Page, Page, 16, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..24]);
        }),
        new("unmap-with-bitmap", static s =>
        {
            UserBuffer memory = s.Memory(4);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, 4 * Page);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address, argsz: 47);
            Unmap(s, container, 0x10000, 4 * Page, 2 * Page, 8, bitmap.Address);
            Unmap(s, container, 0x10000, 4 * Page, Page, 0, bitmap.Address);
            Unmap(s, container, 0x10000, 4 * Page, Page, 7, bitmap.Address);
            Unmap(s, container, 0x10000, 2 * Page, Page, 8, bitmap.Address);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, 0xFFFF800000000000);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address, flags: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address, flags: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..8]);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, bitmap.Address);
        }),
        new("unmap-with-unreadable-bitmap", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, 4 * Page);
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            Unmap(s, container, 0x10000, 4 * Page, Page, 8, 0x1000);
            s.UnmapDma(container, 0x10000, 4 * Page);
        }),
        new("mapping-while-tracking", static s =>
        {
            UserBuffer memory = s.Memory(4);
            UserBuffer bitmap = s.Memory();
            (int container, _) = s.OpenContainer();
            Set(s, container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
            s.MapDma(container, memory.Address, 0, 4 * Page);
            Get(s, container, 0, 4 * Page, Page, 8, bitmap.Address);
            s.Note("bitmap", bitmap.Span[..8]);
        }),
    ]);

    private static void Set(Session s, int container, uint flags)
        => s.Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = flags });

    private static void Get(Session s, int container, ulong iova, ulong size, ulong pageSize, ulong bitmapSize, ulong data, uint argsz = 0)
        => s.Ioctl(
            container,
            VFIO_IOMMU_DIRTY_PAGES,
            new DirtyGet
            {
                header = new vfio_iommu_type1_dirty_bitmap { argsz = argsz, flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
                get = new vfio_iommu_type1_dirty_bitmap_get { iova = iova, size = size, bitmap = new vfio_bitmap { pgsize = pageSize, size = bitmapSize, data = data } },
            });

    private static void Unmap(Session s, int container, ulong iova, ulong size, ulong pageSize, ulong bitmapSize, ulong data, uint flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, uint argsz = 0)
        => s.Ioctl(
            container,
            VFIO_IOMMU_UNMAP_DMA,
            new DirtyUnmap
            {
                unmap = new vfio_iommu_type1_dma_unmap { argsz = argsz, flags = flags, iova = iova, size = size },
                bitmap = new vfio_bitmap { pgsize = pageSize, size = bitmapSize, data = data },
            });

    [StructLayout(LayoutKind.Sequential)]
    private struct DirtyGet
    {
        public vfio_iommu_type1_dirty_bitmap header;
        public vfio_iommu_type1_dirty_bitmap_get get;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct DirtyUnmap
    {
        public vfio_iommu_type1_dma_unmap unmap;
        public vfio_bitmap bitmap;
    }
}
