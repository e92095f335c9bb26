using Vfio.Abi;
using static Vfio.Abi.IommufdUapi;

namespace Vfio.Differential;

/// <summary>Page tables and what hangs on them (spec iommufd §2.12–§2.16, §2.19–§2.22).</summary>
internal static class PageTableScenarios
{
    private const ulong Page = 4096;

    public static Subject Subject { get; } = new("hwpt",
    [
        new("alloc-and-destroy", static s =>
        {
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            s.Destroy(iommufd, ioas);
            s.Attach(device, table);
            s.Destroy(iommufd, table);
            s.Detach(device);
            s.Destroy(iommufd, table);
            s.Destroy(iommufd, ioas);
        }),
        new("alloc-flags", static s =>
        {
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            foreach (uint flags in (uint[])[1, 2, 3, 4, 5, 6, 8, 9, 10, 16, 0x80000000])
            {
                s.NewPageTable(iommufd, id, ioas, flags);
            }
        }),
        new("alloc-arguments", static s =>
        {
            UserBuffer data = s.Memory();
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, __reserved = 1 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, data_len = 8 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, data_type = 1 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, data_type = 1, data_len = 24, data_uptr = data.Address });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, data_type = 99, data_len = 24, data_uptr = data.Address });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = 0, pt_id = ioas });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = 99, pt_id = ioas });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = ioas, pt_id = ioas });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = 0 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = 99 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = id });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, fault_id = 99 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, flags = 4, fault_id = 99 });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, __reserved2 = 1 });
            s.ReadOnly(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas });
        }),
        new("alloc-nested", static s =>
        {
            UserBuffer data = s.Memory();
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            s.NewPageTable(iommufd, id, table);
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = table, data_type = 1, data_len = 24, data_uptr = data.Address });
            s.NewPageTable(iommufd, id, table, IOMMU_HWPT_ALLOC_NEST_PARENT);
            uint automatic = s.Attach(device, ioas);
            s.NewPageTable(iommufd, id, automatic);
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = automatic, data_type = 1, data_len = 24, data_uptr = data.Address });
        }),
        new("alloc-fills-with-mappings", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000);
            s.NewPageTable(iommufd, id, ioas);
            s.MapFixed(iommufd, ioas, 0x1000, Page, 0x20000);
            s.MapFixed(iommufd, ioas, memory.Address, 100, 0x20000);
            uint bad = s.NewIoas(iommufd);
            s.MapFixed(iommufd, bad, 0x1000, Page, 0x10000);
            s.NewPageTable(iommufd, id, bad);
            s.Unmap(iommufd, bad, 0x10000, Page);
            s.NewPageTable(iommufd, id, bad);
        }),
        new("automatic-tables-come-and-go", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.Attach(device, ioas);
            s.Destroy(iommufd, table);
            s.Detach(device);
            s.Destroy(iommufd, table);
            s.NewIoas(iommufd);
        }),
        new("replace-tables", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint first = s.NewPageTable(iommufd, id, ioas);
            uint second = s.NewPageTable(iommufd, id, ioas);
            s.Attach(device, first);
            s.Attach(device, second);
            s.Destroy(iommufd, first);
            s.Attach(device, ioas);
            s.Destroy(iommufd, second);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000);
            s.Detach(device);
        }),
        new("alloc-for-two-devices", static s =>
        {
            (int iommufd, int first, uint a) = s.OpenBound(Target.A);
            int second = s.Cdev(Target.B);
            s.Bind(second, iommufd);
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, a, ioas);
            s.Attach(first, table);
            s.Attach(second, table);
            s.Destroy(iommufd, table);
            s.Close(first);
            s.Destroy(iommufd, table);
            s.Detach(second);
            s.Destroy(iommufd, table);
        }),
        new("alloc-with-fault-queue", static s =>
        {
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            Outcome<iommu_fault_alloc> queue = s.Ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, default(iommu_fault_alloc));
            s.Received(queue);
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, flags = 4, fault_id = queue.Argument.out_fault_id });
            s.Ioctl(iommufd, IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = id, pt_id = ioas, flags = 5, fault_id = queue.Argument.out_fault_id });
        }),
        new("closing-the-device-frees-its-table", static s =>
        {
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            s.Attach(device, table);
            s.Close(device);
            s.NewPageTable(iommufd, id, ioas);
            s.Destroy(iommufd, table);
            s.Destroy(iommufd, ioas);
        }),
        new("hardware-info", static s =>
        {
            UserBuffer data = s.Memory();
            (int iommufd, _, uint id) = s.OpenBound();
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id });
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id, data_len = 8, data_uptr = 0 });
            data.Span[..64].Fill(0x77);
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id, data_len = 64, data_uptr = data.Address });
            s.Note("data", data.Span[..64]);
        }),
        new("hardware-info-arguments", static s =>
        {
            (int iommufd, _, uint id) = s.OpenBound();
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id, flags = 2 });
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = 99 });
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id, flags = 1, in_data_type = 2 });
            s.Ioctl(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id, in_data_type = 99 });
            s.ReadOnly(iommufd, IOMMU_GET_HW_INFO, new iommu_hw_info { dev_id = id });
        }),
        new("dirty-tracking-without-support", static s =>
        {
            UserBuffer bitmap = s.Memory();
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            foreach (uint flags in (uint[])[0, 1, 2])
            {
                s.Ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, new iommu_hwpt_set_dirty_tracking { hwpt_id = table, flags = flags });
            }

            s.Ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, new iommu_hwpt_set_dirty_tracking { hwpt_id = 99 });
            s.Ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, new iommu_hwpt_set_dirty_tracking { hwpt_id = table, __reserved = 1 });
            Bitmap(s, iommufd, 99, 0, Page, Page, bitmap.Address);
            Bitmap(s, iommufd, table, 0, 0, Page, bitmap.Address);
            Bitmap(s, iommufd, table, ulong.MaxValue, Page, Page, bitmap.Address);
            Bitmap(s, iommufd, table, 0x800, Page, Page, bitmap.Address);
            Bitmap(s, iommufd, table, 0, 0x800, Page, bitmap.Address);
            Bitmap(s, iommufd, table, 0, Page, 0, bitmap.Address);
            Bitmap(s, iommufd, table, 0, Page, 2 * Page, bitmap.Address);
            Bitmap(s, iommufd, table, 0, Page, Page, bitmap.Address, flags: 2);
            Bitmap(s, iommufd, table, 0, Page, Page, bitmap.Address, reserved: 1);
            Bitmap(s, iommufd, table, 0, Page, Page, bitmap.Address);
        }),
        new("invalidate", static s =>
        {
            UserBuffer data = s.Memory();
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            Invalidate(s, iommufd, table, 0, 0, 0);
            Invalidate(s, iommufd, table, 1, 0, 0);
            Invalidate(s, iommufd, table, 1, data.Address, 0);
            Invalidate(s, iommufd, table, 1, data.Address, 4097);
            Invalidate(s, iommufd, table, 0x80001, data.Address, 16);
            Invalidate(s, iommufd, table, 1, data.Address, 16);
            Invalidate(s, iommufd, 99, 1, data.Address, 16);
            Invalidate(s, iommufd, id, 1, data.Address, 16);
            s.Ioctl(iommufd, IOMMU_HWPT_INVALIDATE, new iommu_hwpt_invalidate { hwpt_id = table, __reserved = 1, entry_num = 3 });
            s.ReadOnly(iommufd, IOMMU_HWPT_INVALIDATE, new iommu_hwpt_invalidate { hwpt_id = table, entry_num = 1 });
        }),
        new("virtual-iommu", static s =>
        {
            (int iommufd, _, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint table = s.NewPageTable(iommufd, id, ioas);
            foreach (uint type in (uint[])[0, 1, 2, 99])
            {
                s.Ioctl(iommufd, IOMMU_VIOMMU_ALLOC, new iommu_viommu_alloc { type = type, dev_id = id, hwpt_id = table });
            }

            s.Ioctl(iommufd, IOMMU_VIOMMU_ALLOC, new iommu_viommu_alloc { type = 1, flags = 1, dev_id = id, hwpt_id = table });
            s.Ioctl(iommufd, IOMMU_VIOMMU_ALLOC, new iommu_viommu_alloc { type = 1, dev_id = 99, hwpt_id = table });
            s.Ioctl(iommufd, IOMMU_VIOMMU_ALLOC, new iommu_viommu_alloc { type = 1, dev_id = id, hwpt_id = 99 });
        }),
        new("virtual-devices-and-queues", static s =>
        {
            (int iommufd, _, uint id) = s.OpenBound();
            s.Ioctl(iommufd, IOMMU_VDEVICE_ALLOC, new iommu_vdevice_alloc { viommu_id = 99, dev_id = id });
            s.Ioctl(iommufd, IOMMU_VDEVICE_ALLOC, new iommu_vdevice_alloc { viommu_id = id, dev_id = id });
            s.Ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { viommu_id = 99, type = 0, veventq_depth = 1 });
            s.Ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { viommu_id = 99, type = 1 });
            s.Ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { viommu_id = 99, type = 1, veventq_depth = 0x80001 });
            s.Ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { viommu_id = 99, type = 1, veventq_depth = 1, flags = 1 });
            s.Ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, new iommu_veventq_alloc { viommu_id = 99, type = 1, veventq_depth = 1, __reserved = 1 });
            s.Ioctl(iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { viommu_id = 99, type = 0, length = 1 });
            s.Ioctl(iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { viommu_id = 99, type = 1 });
            s.Ioctl(iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { viommu_id = 99, type = 1, length = 2, nesting_parent_iova = ulong.MaxValue });
            s.Ioctl(iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { viommu_id = 99, type = 1, length = 2, flags = 1 });
            s.Ioctl(iommufd, IOMMU_HW_QUEUE_ALLOC, new iommu_hw_queue_alloc { viommu_id = 99, type = 1, length = 2 });
        }),
    ]);

    private static void Bitmap(Session s, int iommufd, uint table, ulong iova, ulong length, ulong pageSize, ulong data, uint flags = 0, uint reserved = 0)
        => s.Ioctl(
            iommufd,
            IOMMU_HWPT_GET_DIRTY_BITMAP,
            new iommu_hwpt_get_dirty_bitmap { hwpt_id = table, flags = flags, __reserved = reserved, iova = iova, length = length, page_size = pageSize, data = data });

    private static void Invalidate(Session s, int iommufd, uint table, uint count, ulong data, uint entryLength)
        => s.Ioctl(iommufd, IOMMU_HWPT_INVALIDATE, new iommu_hwpt_invalidate { hwpt_id = table, data_uptr = data, entry_len = entryLength, entry_num = count });
}
