using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>Mapping through a container (spec vfio-core §8.2–§8.4).</summary>
internal static class Type1Scenarios
{
    private const uint ReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    private const ulong Page = 4096;

    public static Subject Subject { get; } = new("type1",
    [
        new("info-sizes", static s =>
        {
            (int container, _) = s.OpenContainer();
            foreach (uint argsz in (uint[])[1, 15, 16, 23, 24, 25, 71, 72, 103, 104, 4096])
            {
                s.Ioctl(container, VFIO_IOMMU_GET_INFO, new vfio_iommu_type1_info { argsz = argsz, flags = uint.MaxValue });
            }
        }),
        new("info-chain", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
        }),
        new("info-chain-of-v1", static s =>
        {
            (int container, _) = s.OpenContainer(type: VFIO_TYPE1_IOMMU);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
        }),
        new("info-chain-counts-mappings", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0, Page);
            s.MapDma(container, memory.Address, Page, Page);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
        }),
        new("info-faults", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.BadPointer(container, VFIO_IOMMU_GET_INFO);
            s.Cut(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), 15);
            s.Cut(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), 16);
            s.ReadOnly(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
        }),
        new("map-sizes-and-flags", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, _) = s.OpenContainer();
            foreach (uint argsz in (uint[])[1, 24, 31, 4096])
            {
                s.Ioctl(container, VFIO_IOMMU_MAP_DMA, new vfio_iommu_type1_dma_map { argsz = argsz, flags = ReadWrite, vaddr = memory.Address, iova = 0x10000, size = Page });
            }

            foreach (uint flags in (uint[])[0, 1, 2, 3, 5, 6, 7, 8, 0x80000000])
            {
                s.MapDma(container, memory.Address, 0x20000 + (flags * Page), Page, flags);
            }
        }),
        new("map-faults", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.BadPointer(container, VFIO_IOMMU_MAP_DMA);
            s.Cut(container, VFIO_IOMMU_MAP_DMA, default(vfio_iommu_type1_dma_map), 31);
            s.BadPointer(container, VFIO_IOMMU_UNMAP_DMA);
            s.Cut(container, VFIO_IOMMU_UNMAP_DMA, default(vfio_iommu_type1_dma_unmap), 23);
        }),
        new("map-alignment", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, 0);
            s.MapDma(container, memory.Address, 0x10000, 1);
            s.MapDma(container, memory.Address, 0x10000, Page + 1);
            s.MapDma(container, memory.Address, 0x10800, Page);
            s.MapDma(container, memory.Address + 0x800, 0x10000, Page);
            s.MapDma(container, memory.Address + 0x800, 0x10800, Page);
        }),
        new("map-wraps", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0xFFFFFFFFFFFFF000, Page);
            s.MapDma(container, memory.Address, 0xFFFFFFFFFFFFF000, 2 * Page);
            s.MapDma(container, memory.Address, 0xFFFFFFFFFFFFF800, Page);
            s.MapDma(container, 0xFFFFFFFFFFFFF000, 0x10000, 2 * Page);
            s.MapDma(container, 0xFFFFFFFFFFFFF000, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x10000, 0xFFFFFFFFFFFFF000);
        }),
        new("map-overlaps", static s =>
        {
            UserBuffer memory = s.Memory(8);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x1000, 2 * Page);
            s.MapDma(container, memory.Address, 0x1000, 2 * Page);
            s.MapDma(container, memory.Address, 0x2000, 2 * Page);
            s.MapDma(container, memory.Address, 0, 2 * Page);
            s.MapDma(container, memory.Address, 0, 4 * Page);
            s.MapDma(container, memory.Address, 0x3000, Page);
            s.MapDma(container, memory.Address, 0, Page);
        }),
        new("map-bad-memory", static s =>
        {
            UserBuffer memory = s.Memory(2);
            UserBuffer readOnly = s.Memory(1, isReadOnly: true);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, 0, 0x10000, Page);
            s.MapDma(container, 0x1000, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x10000, 3 * Page);
            s.MapDma(container, memory.Address + (2 * Page), 0x10000, Page);
            s.MapDma(container, readOnly.Address, 0x10000, Page);
            s.MapDma(container, readOnly.Address, 0x10000, Page, VFIO_DMA_MAP_FLAG_WRITE);
            s.MapDma(container, readOnly.Address, 0x10000, Page, VFIO_DMA_MAP_FLAG_READ);
            s.MapDma(container, 0x800000000000, 0x20000, Page);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
        }),
        new("map-reserved-and-beyond", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0xFEE00000, Page);
            s.MapDma(container, memory.Address, 0xFEDFF000, Page);
            s.MapDma(container, memory.Address, 0xFEDFF000, 2 * Page);
            s.MapDma(container, memory.Address, 0xFEF00000, Page);
            s.MapDma(container, memory.Address, 0xFEEFF000, 2 * Page);
            s.MapDma(container, memory.Address, (1UL << 48) - Page, Page);
            s.MapDma(container, memory.Address, (1UL << 48) - Page, 2 * Page);
            s.MapDma(container, memory.Address, 1UL << 48, Page);
            s.MapDma(container, memory.Address, 1UL << 63, Page);
        }),
        new("map-beyond-is-found-before-bad-memory", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.MapDma(container, 0x1000, 1UL << 48, Page);
            s.MapDma(container, 0x1000, 0xFEE00000, Page);
        }),
        new("unmap-sizes-and-flags", static s =>
        {
            (int container, _) = s.OpenContainer();
            foreach (uint argsz in (uint[])[1, 16, 23, 4096])
            {
                s.Ioctl(container, VFIO_IOMMU_UNMAP_DMA, new vfio_iommu_type1_dma_unmap { argsz = argsz, size = Page });
            }

            foreach (uint flags in (uint[])[1, 2, 3, 4, 5, 6, 7, 8, 0x80000000])
            {
                s.UnmapDma(container, 0, Page, flags);
            }
        }),
        new("unmap-alignment-and-wraps", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.UnmapDma(container, 0, 0);
            s.UnmapDma(container, 0x800, Page);
            s.UnmapDma(container, 0x1000, 0x800);
            s.UnmapDma(container, 0xFFFFFFFFFFFFF000, Page);
            s.UnmapDma(container, 0xFFFFFFFFFFFFF000, 2 * Page);
            s.UnmapDma(container, 0, ulong.MaxValue);
            s.UnmapDma(container, 0, 0xFFFFFFFFFFFFF000);
        }),
        new("unmap-parts-of-v2", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, 4 * Page);
            s.UnmapDma(container, 0x11000, Page);
            s.UnmapDma(container, 0x10000, 2 * Page);
            s.UnmapDma(container, 0x12000, 4 * Page);
            s.UnmapDma(container, 0xF000, 2 * Page);
            s.UnmapDma(container, 0x10000, 4 * Page);
            s.UnmapDma(container, 0x10000, 4 * Page);
        }),
        new("unmap-several", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x13000, Page);
            s.UnmapDma(container, 0, 0x100000);
            s.UnmapDma(container, 0, 0x100000);
        }),
        new("unmap-all", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer();
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x13000, 2 * Page);
            s.UnmapDma(container, 0, Page, VFIO_DMA_UNMAP_FLAG_ALL);
            s.UnmapDma(container, Page, 0, VFIO_DMA_UNMAP_FLAG_ALL);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("unmap-parts-of-v1", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int container, _) = s.OpenContainer(type: VFIO_TYPE1_IOMMU);
            s.MapDma(container, memory.Address, 0x10000, 4 * Page);
            s.UnmapDma(container, 0x11000, Page);
            s.UnmapDma(container, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x10000, 4 * Page);
            s.UnmapDma(container, 0xE000, 3 * Page);
            s.MapDma(container, memory.Address, 0, 2 * Page);
            s.MapDma(container, memory.Address, 2 * Page, Page);
            s.UnmapDma(container, Page, 2 * Page);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("unmap-read-only-argument", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.ReadOnly(container, VFIO_IOMMU_UNMAP_DMA, new vfio_iommu_type1_dma_unmap { iova = 0x10000, size = Page });
            s.MapDma(container, memory.Address, 0x10000, Page);
        }),
        new("vaddr-of-one", static s =>
        {
            UserBuffer memory = s.Memory(2);
            UserBuffer other = s.Memory(2);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, 2 * Page);
            s.UnmapDma(container, 0x10000, 2 * Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.UnmapDma(container, 0x10000, 2 * Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.MapDma(container, other.Address, 0x10000, 2 * Page);
            s.MapDma(container, other.Address, 0x10000, 2 * Page, VFIO_DMA_MAP_FLAG_VADDR | VFIO_DMA_MAP_FLAG_READ);
            s.MapDma(container, other.Address, 0x20000, 2 * Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.MapDma(container, other.Address, 0x11000, 2 * Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.MapDma(container, other.Address, 0x10000, Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.MapDma(container, other.Address, 0x10000, 2 * Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.MapDma(container, other.Address, 0x10000, 2 * Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.UnmapDma(container, 0x10000, 2 * Page);
        }),
        new("vaddr-of-several", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x20000, Page);
            s.UnmapDma(container, 0x20000, Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.UnmapDma(container, 0, 0x100000, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.UnmapDma(container, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("vaddr-of-all", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.MapDma(container, memory.Address, 0x20000, Page);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR);
            s.MapDma(container, memory.Address, 0x30000, Page);
            s.MapDma(container, memory.Address, 0x10000, Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.UnmapDma(container, 0x20000, Page);
            s.UnmapDma(container, 0x10000, 0x800, VFIO_DMA_UNMAP_FLAG_VADDR);
        }),
        new("vaddr-keeps-groups-out", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, _) = s.OpenContainer();
            int other = s.Group(Target.B);
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.UnmapDma(container, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.Descriptor(other, VFIO_GROUP_SET_CONTAINER, container);
            s.MapDma(container, memory.Address, 0x10000, Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.Descriptor(other, VFIO_GROUP_SET_CONTAINER, container);
        }),
        new("vaddr-of-bad-memory", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, _) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            s.UnmapDma(container, 0x10000, Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            s.MapDma(container, 0x1000, 0x10000, Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.MapDma(container, 0x800, 0x10000, Page, VFIO_DMA_MAP_FLAG_VADDR);
            s.UnmapDma(container, 0x10000, Page);
        }),
        new("second-group-sees-the-mappings", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, int first) = s.OpenContainer();
            s.MapDma(container, memory.Address, 0x10000, Page);
            int second = s.Group(Target.B);
            s.Descriptor(second, VFIO_GROUP_SET_CONTAINER, container);
            int device = s.DeviceOf(second, Target.B);
            s.Value(first, VFIO_GROUP_UNSET_CONTAINER);
            s.UnmapDma(container, 0x10000, Page);
            s.Close(device);
        }),
        new("many-mappings", static s =>
        {
            UserBuffer memory = s.Memory(16);
            (int container, _) = s.OpenContainer();
            for (ulong i = 0; i < 16; i++)
            {
                s.MapDma(container, memory.Address + (i * Page), i * 2 * Page, Page);
            }

            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), new byte[256]);
            s.UnmapDma(container, Page, Page);
            s.UnmapDma(container, 4 * Page, 8 * Page);
            s.UnmapDma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
        }),
        new("device-moves-data", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _, int device) = s.OpenType1();
            s.MapDma(container, memory.Address, 0x100000, 2 * Page);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
        new("device-does-not-write-read-only-mappings", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _, int device) = s.OpenType1();
            s.MapDma(container, memory.Address, 0x100000, Page);
            s.MapDma(container, memory.Address + Page, 0x101000, Page, VFIO_DMA_MAP_FLAG_READ);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
        new("device-reaches-nothing-after-unmap", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _, int device) = s.OpenType1();
            s.MapDma(container, memory.Address, 0x100000, 2 * Page);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            s.UnmapDma(container, 0x100000, 2 * Page);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
        new("device-uses-old-memory-while-vaddr-is-invalid", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int container, _, int device) = s.OpenType1();
            s.MapDma(container, memory.Address, 0x100000, 2 * Page);
            s.UnmapDma(container, 0x100000, 2 * Page, VFIO_DMA_UNMAP_FLAG_VADDR);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
            s.UnmapDma(container, 0x100000, 2 * Page);
        }),
    ]);
}
