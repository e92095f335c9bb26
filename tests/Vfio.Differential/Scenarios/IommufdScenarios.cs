using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Abi.IommufdUapi;

namespace Vfio.Differential;

/// <summary>The iommufd file: dispatch, sizes, objects, options (spec iommufd §2.1–§2.3, §2.10, §2.11).</summary>
internal static class IommufdScenarios
{
    public static Subject Subject { get; } = new("iommufd",
    [
        new("commands-that-are-none", static s =>
        {
            int iommufd = s.Iommufd();
            s.Value(iommufd, 0, name: "0");
            s.Value(iommufd, 0x3B7F, name: "0x3B7F");
            s.BadPointer(iommufd, 0x3B7F, name: "0x3B7F");
            s.Ioctl(iommufd, 0x3B96, default(iommu_ioas_alloc), name: "0x3B96");
            s.Ioctl(iommufd, 0x3BFF, default(iommu_ioas_alloc), name: "0x3BFF");
            s.Ioctl(iommufd, 0x3C81, default(iommu_ioas_alloc), name: "0x3C81");
            s.Ioctl(iommufd, 0xC00C3B81, default(iommu_ioas_alloc), name: "0xC00C3B81");
            s.BadPointer(iommufd, 0xC00C3B81, name: "0xC00C3B81");
            s.BadPointer(iommufd, IOMMU_IOAS_ALLOC);
        }),
        new("read-write-poll", static s =>
        {
            int iommufd = s.Iommufd();
            s.ReadAt(iommufd, 0, 8);
            s.WriteAt(iommufd, 0, 8);
            s.Poll(iommufd);
        }),
        new("map", static s =>
        {
            int iommufd = s.Iommufd();
            s.Map(iommufd, 0, 0);
            s.Map(iommufd, 0, 0x1000);
            s.Map(iommufd, 0, 0x1000, shared: false);
            s.Map(iommufd, 0, protection: MemoryProtection.Read | MemoryProtection.Execute);
            s.Map(iommufd, PciRegion.Bar1, protection: MemoryProtection.Read);
        }),
        new("destroy", static s =>
        {
            int iommufd = s.Iommufd();
            s.Destroy(iommufd, 0);
            s.Destroy(iommufd, 1);
            s.Destroy(iommufd, uint.MaxValue);
            uint ioas = s.NewIoas(iommufd);
            s.Destroy(iommufd, ioas);
            s.Destroy(iommufd, ioas);
        }),
        new("ids-are-reused", static s =>
        {
            int iommufd = s.Iommufd();
            s.NewIoas(iommufd);
            uint second = s.NewIoas(iommufd);
            s.NewIoas(iommufd);
            s.Destroy(iommufd, second);
            s.NewIoas(iommufd);
            s.NewIoas(iommufd);
        }),
        new("ioas-alloc-arguments", static s =>
        {
            int iommufd = s.Iommufd();
            s.Ioctl(iommufd, IOMMU_IOAS_ALLOC, new iommu_ioas_alloc { flags = 1 });
            s.Ioctl(iommufd, IOMMU_IOAS_ALLOC, new iommu_ioas_alloc { flags = 0x80000000 });
            s.Ioctl(iommufd, IOMMU_IOAS_ALLOC, new iommu_ioas_alloc { out_ioas_id = 77 });
            s.ReadOnly(iommufd, IOMMU_IOAS_ALLOC, default(iommu_ioas_alloc));
            s.Cut(iommufd, IOMMU_IOAS_ALLOC, default(iommu_ioas_alloc), 3);
            s.Cut(iommufd, IOMMU_IOAS_ALLOC, default(iommu_ioas_alloc), 11);
            s.NewIoas(iommufd);
        }),
        new("sizes", static s =>
        {
            int iommufd = s.Iommufd();
            Sizes(s, iommufd, IOMMU_DESTROY, new iommu_destroy { id = 99 }, 8, nameof(IOMMU_DESTROY));
            Sizes(s, iommufd, IOMMU_IOAS_IOVA_RANGES, new iommu_ioas_iova_ranges { ioas_id = 99 }, 32, nameof(IOMMU_IOAS_IOVA_RANGES));
            Sizes(s, iommufd, IOMMU_IOAS_ALLOW_IOVAS, new iommu_ioas_allow_iovas { ioas_id = 99 }, 24, nameof(IOMMU_IOAS_ALLOW_IOVAS));
            Sizes(s, iommufd, IOMMU_IOAS_MAP, new iommu_ioas_map { ioas_id = 99, flags = 4 }, 40, nameof(IOMMU_IOAS_MAP));
            Sizes(s, iommufd, IOMMU_IOAS_MAP_FILE, new iommu_ioas_map_file { ioas_id = 99, flags = 4 }, 40, nameof(IOMMU_IOAS_MAP_FILE));
            Sizes(s, iommufd, IOMMU_IOAS_COPY, new iommu_ioas_copy { src_ioas_id = 99, flags = 4 }, 40, nameof(IOMMU_IOAS_COPY));
            Sizes(s, iommufd, IOMMU_IOAS_UNMAP, new iommu_ioas_unmap { ioas_id = 99, length = 1 }, 24, nameof(IOMMU_IOAS_UNMAP));
            Sizes(s, iommufd, IOMMU_OPTION, new iommu_option { option_id = 1, op = 1, object_id = 99 }, 24, nameof(IOMMU_OPTION));
            Sizes(s, iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { ioas_id = 99, op = 1 }, 12, nameof(IOMMU_VFIO_IOAS));
            Sizes(s, iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = 99 }, 24, nameof(IOMMU_HWPT_ALLOC));
            Sizes(s, iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = 99 }, 32, nameof(IOMMU_GET_HW_INFO));
            Sizes(s, iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, new iommu_hwpt_set_dirty_tracking { hwpt_id = 99 }, 16, nameof(IOMMU_HWPT_SET_DIRTY_TRACKING));
            Sizes(s, iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, new iommu_hwpt_get_dirty_bitmap { hwpt_id = 99 }, 48, nameof(IOMMU_HWPT_GET_DIRTY_BITMAP));
            Sizes(s, iommufd, IOMMU_HWPT_INVALIDATE, new iommu_hwpt_invalidate { hwpt_id = 99 }, 32, nameof(IOMMU_HWPT_INVALIDATE));
            Sizes(s, iommufd, IOMMU_FAULT_QUEUE_ALLOC, new iommu_fault_alloc { flags = 1 }, 16, nameof(IOMMU_FAULT_QUEUE_ALLOC));
            Sizes(s, iommufd, IOMMU_VIOMMU_ALLOC, new iommu_viommu_alloc { type = 1, dev_id = 99 }, 24, nameof(IOMMU_VIOMMU_ALLOC));
            Sizes(s, iommufd, IOMMU_VDEVICE_ALLOC, new iommu_vdevice_alloc { viommu_id = 99 }, 24, nameof(IOMMU_VDEVICE_ALLOC));
            Sizes(s, iommufd, IOMMU_IOAS_CHANGE_PROCESS, new iommu_ioas_change_process { __reserved = 1 }, 8, nameof(IOMMU_IOAS_CHANGE_PROCESS));
            Sizes(s, iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { type = 1, veventq_depth = 1, viommu_id = 99 }, 28, nameof(IOMMU_VEVENTQ_ALLOC));
            Sizes(s, iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { type = 1, length = 1, viommu_id = 99 }, 40, nameof(IOMMU_HW_QUEUE_ALLOC));
            Sizes(s, iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, new iommu_ioas_noiommu_get_pa { ioas_id = 99, length = 1 }, 40, nameof(IOMMU_IOAS_NOIOMMU_GET_PA));
        }),
        new("wrong-kinds-of-objects", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint page = s.NewPageTable(iommufd, id, ioas);
            s.MapAnywhere(iommufd, id, memory.Address, 4096);
            s.MapAnywhere(iommufd, page, memory.Address, 4096);
            s.Unmap(iommufd, page, 0, ulong.MaxValue);
            s.NewPageTable(iommufd, ioas, ioas);
            s.NewPageTable(iommufd, id, id);
            s.NewPageTable(iommufd, id, 999);
            s.Destroy(iommufd, id);
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = ioas });
            s.Ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, new iommu_hwpt_set_dirty_tracking { hwpt_id = ioas });
            s.Ioctl(iommufd, IOMMU_HWPT_INVALIDATE, new iommu_hwpt_invalidate { hwpt_id = ioas });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 1, ioas_id = page });
            s.Ioctl(iommufd, IOMMU_OPTION, new iommu_option { option_id = 1, op = 1, object_id = page });
        }),
        new("option-rlimit-mode", static s =>
        {
            int iommufd = s.Iommufd();
            Option(s, iommufd, 0, 1);
            Option(s, iommufd, 0, 0, 1);
            Option(s, iommufd, 0, 1);
            Option(s, iommufd, 0, 0, 2);
            Option(s, iommufd, 0, 0, 0);
            Option(s, iommufd, 0, 2);
            Option(s, iommufd, 0, 1, target: 1);
            s.NewIoas(iommufd);
            Option(s, iommufd, 0, 0, 1);
            Option(s, iommufd, 0, 1);
        }),
        new("option-huge-pages", static s =>
        {
            int iommufd = s.Iommufd();
            uint ioas = s.NewIoas(iommufd);
            Option(s, iommufd, 1, 1, target: ioas);
            Option(s, iommufd, 1, 0, 0, ioas);
            Option(s, iommufd, 1, 1, target: ioas);
            Option(s, iommufd, 1, 0, 0, ioas);
            Option(s, iommufd, 1, 0, 2, ioas);
            Option(s, iommufd, 1, 0, 1, ioas);
            Option(s, iommufd, 1, 3, 0, ioas);
            Option(s, iommufd, 1, 1, target: 0);
            Option(s, iommufd, 1, 1, target: 99);
        }),
        new("option-huge-pages-with-mappings", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.MapFixed(iommufd, ioas, memory.Address, 4096, 0x10000);
            Option(s, iommufd, 1, 0, 0, ioas);
            Option(s, iommufd, 1, 0, 1, ioas);
            s.Attach(device, ioas);
            Option(s, iommufd, 1, 0, 0, ioas);
            s.Unmap(iommufd, ioas, 0x10000, 4096);
            Option(s, iommufd, 1, 0, 0, ioas);
            Option(s, iommufd, 1, 1, target: ioas);
        }),
        new("option-huge-pages-with-small-mapping", static s =>
        {
            UserBuffer memory = s.Memory(2);
            int iommufd = s.Iommufd();
            uint ioas = s.NewIoas(iommufd);
            s.MapFixed(iommufd, ioas, memory.Address, 100, 0x10000);
            Option(s, iommufd, 1, 0, 0, ioas);
            s.Unmap(iommufd, ioas, 0x10000, 100);
            Option(s, iommufd, 1, 0, 0, ioas);
            s.MapFixed(iommufd, ioas, memory.Address, 100, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 4096, 0x10800);
        }),
        new("option-arguments", static s =>
        {
            int iommufd = s.Iommufd();
            Option(s, iommufd, 2, 1);
            Option(s, iommufd, uint.MaxValue, 0);
            s.Ioctl(iommufd, IOMMU_OPTION, new iommu_option { option_id = 0, op = 1, __reserved = 1 });
            s.ReadOnly(iommufd, IOMMU_OPTION, new iommu_option { option_id = 0, op = 1 });
        }),
        new("vfio-ioas", static s =>
        {
            int iommufd = s.Iommufd();
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 0 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 1, ioas_id = 99 });
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 1, ioas_id = ioas });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 0 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 2 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 0 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 2 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 3 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 0, __reserved = 1 });
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 1, ioas_id = ioas });
            s.Destroy(iommufd, ioas);
            s.Ioctl(iommufd, IOMMU_VFIO_IOAS, new iommu_vfio_ioas { op = 0 });
        }),
        new("no-iommu-address", static s =>
        {
            int iommufd = s.Iommufd();
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, new iommu_ioas_noiommu_get_pa { ioas_id = ioas, iova = 0x1000, length = 4096 });
        }),
        new("fault-queue", static s =>
        {
            int iommufd = s.Iommufd();
            s.Ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, new iommu_fault_alloc { flags = 1 });
            Outcome<iommu_fault_alloc> queue = s.Ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, default(iommu_fault_alloc));
            int file = s.Received(queue);
            s.Poll(file);
            foreach (int count in (int[])[40, 80, 39, 0])
            {
                s.Read(file, count);
            }

            foreach (int count in (int[])[8, 7, 0])
            {
                s.Write(file, count);
            }

            s.Destroy(iommufd, queue.Argument.out_fault_id);
            s.Close(file);
            s.Destroy(iommufd, queue.Argument.out_fault_id);
        }),
        new("fault-queue-outlives-the-iommufd", static s =>
        {
            int iommufd = s.Iommufd();
            int file = s.Received(s.Ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, default(iommu_fault_alloc)));
            s.Close(iommufd);
            s.Poll(file);
            s.Read(file, 40);
            s.Value(file, IOMMU_DESTROY);
        }),
        new("change-process", static s =>
        {
            UserBuffer memory = s.Memory();
            int iommufd = s.Iommufd();
            s.Ioctl(iommufd, IOMMU_IOAS_CHANGE_PROCESS, new iommu_ioas_change_process { __reserved = 1 });
            s.Ioctl(iommufd, IOMMU_IOAS_CHANGE_PROCESS, default(iommu_ioas_change_process));
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(iommufd, IOMMU_IOAS_MAP_FILE, new iommu_ioas_map_file { flags = 6, ioas_id = ioas, fd = s.MemFd(4096), length = 4096 });
            s.Ioctl(iommufd, IOMMU_IOAS_CHANGE_PROCESS, default(iommu_ioas_change_process));
            s.MapAnywhere(iommufd, ioas, memory.Address, 4096);
            s.Ioctl(iommufd, IOMMU_IOAS_CHANGE_PROCESS, default(iommu_ioas_change_process));
        }),
    ]);

    private static void Option(Session s, int iommufd, uint option, ushort operation, ulong value = 0, uint target = 0)
        => s.Ioctl(iommufd, IOMMU_OPTION, new iommu_option { option_id = option, op = operation, object_id = target, val64 = value });

    /// <summary>Too short, of the first version, longer with zeros, longer with something.</summary>
    private static void Sizes<T>(Session s, int iommufd, uint command, T argument, int minimum, string name)
        where T : unmanaged
    {
        s.Ioctl(iommufd, command, WithSize(argument, minimum - 1), name: name);
        s.Ioctl(iommufd, command, WithSize(argument, minimum), name: name);
        s.Ioctl(iommufd, command, argument, [0, 0, 0, 0], name);
        s.Ioctl(iommufd, command, argument, [0, 0, 0, 1], name);
    }

    private static unsafe T WithSize<T>(T argument, int size)
        where T : unmanaged
    {
        // SAFETY: every structure of this API begins with its size, 32 bits wide.
        *(uint*)&argument = (uint)size;
        return argument;
    }
}
