using System.Runtime.InteropServices;
using Vfio.Abi;
using static Vfio.Abi.IommufdUapi;

namespace Vfio.Differential;

/// <summary>Address spaces: mapping, placement, copies, ranges (spec iommufd §2.4–§2.9, §3).</summary>
internal static class IoasScenarios
{
    private const ulong Page = 4096;
    private const uint ReadWrite = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;

    public static Subject Subject { get; } = new("ioas",
    [
        new("map-flags", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, uint ioas) = Open(s);
            foreach (uint flags in (uint[])[0, 1, 2, 3, 4, 5, 6, 7, 8, 0x80000000])
            {
                s.Ioctl(iommufd, IOMMU_IOAS_MAP, new iommu_ioas_map { flags = flags, ioas_id = ioas, user_va = memory.Address, length = Page, iova = 0x100000 + (flags * Page) });
            }

            s.Ioctl(iommufd, IOMMU_IOAS_MAP, new iommu_ioas_map { flags = 6, ioas_id = ioas, __reserved = 1, user_va = memory.Address, length = Page });
            s.MapAnywhere(iommufd, 99, memory.Address, Page);
        }),
        new("map-ranges-that-are-none", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address, 0, 0x1000);
            s.MapAnywhere(iommufd, ioas, memory.Address, 0);
            s.MapFixed(iommufd, ioas, memory.Address, ulong.MaxValue, 0x1000);
            s.MapFixed(iommufd, ioas, memory.Address, Page, ulong.MaxValue);
            s.Ioctl(iommufd, IOMMU_IOAS_MAP, new iommu_ioas_map { flags = 6, ioas_id = ioas, user_va = memory.Address, length = Page, iova = ulong.MaxValue });
            s.MapFixed(iommufd, ioas, 0xFFFFFFFFFFFFF000, Page, 0x1000);
            s.MapFixed(iommufd, ioas, 0xFFFFFFFFFFFFF000, 2 * Page, 0x1000);
            s.MapFixed(iommufd, ioas, memory.Address, ulong.MaxValue - 1, 0x1000);
            s.MapFixed(iommufd, ioas, 0, ulong.MaxValue - Page, 0x1000);
            s.MapFixed(iommufd, ioas, 0x1000, 1, 0xFFFFFFFFFFFFFFFE);
            s.MapFixed(iommufd, ioas, 0x1000, 3, 0xFFFFFFFFFFFFFFFE);
            s.MapFixed(iommufd, ioas, 0x1000, Page, 0xFFFFFFFFFFFFF000);
            s.MapAnywhere(iommufd, ioas, 0x1000, ulong.MaxValue / 2);
            s.MapAnywhere(iommufd, ioas, 0x1000, 1UL << 62);
        }),
        new("map-without-devices-looks-at-nothing", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, 0x1000, Page, 0x1000);
            s.MapFixed(iommufd, ioas, 0x1003, 7, 0x5003);
            s.MapFixed(iommufd, ioas, 0x1003, 7, 0x6005);
            s.Unmap(iommufd, ioas, 0, ulong.MaxValue);
        }),
        new("map-overlaps", static s =>
        {
            UserBuffer memory = s.Memory(8);
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 1, 0x11FFF);
            s.MapFixed(iommufd, ioas, memory.Address, 1, 0x12000);
            s.MapFixed(iommufd, ioas, memory.Address, 2, 0xFFFF);
            s.MapFixed(iommufd, ioas, memory.Address, 1, 0xFFFF);
            s.MapFixed(iommufd, ioas, memory.Address, 0x100000, 0);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0);
        }),
        new("placement-of-pages", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            for (ulong pages = 1; pages <= 10; pages++)
            {
                s.MapAnywhere(iommufd, ioas, 0x7F0000000000, pages * Page);
            }
        }),
        new("placement-of-large-ones", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 0x200000);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, Page);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 0x300000);
            s.MapAnywhere(iommufd, ioas, 0x7F0000001000, 0x200000);
            s.MapAnywhere(iommufd, ioas, 0, 0x3000);
        }),
        new("placement-of-bytes", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 1);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 1);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000005, 3);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000800, 0x1000);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000810, 0x20);
        }),
        new("placement-fills-holes", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            for (int i = 0; i < 4; i++)
            {
                s.MapAnywhere(iommufd, ioas, 0x7F0000000000, Page);
            }

            s.Unmap(iommufd, ioas, 0x2000, Page);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 2 * Page);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, Page);
        }),
        new("placement-runs-out", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            for (int i = 0; i < 4; i++)
            {
                s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 1UL << 62);
            }
        }),
        new("placement-with-a-device", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, uint ioas, _) = OpenAttached(s);
            s.MapAnywhere(iommufd, ioas, memory.Address, Page);
            s.MapAnywhere(iommufd, ioas, memory.Address, 100);
            s.MapAnywhere(iommufd, ioas, memory.Address + 0x800, Page);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x800);
            s.MapFixed(iommufd, ioas, memory.Address + 0x800, Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 100, 0x10000);
        }),
        new("allow-iovas", static s =>
        {
            UserBuffer ranges = s.Memory();
            (int iommufd, uint ioas) = Open(s);
            Ranges(ranges, (0x10000, 0x13FFF));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            for (int i = 0; i < 5; i++)
            {
                s.MapAnywhere(iommufd, ioas, 0x7F0000000000, Page);
            }

            s.MapFixed(iommufd, ioas, 0x1000, Page, 0x1000);
            Allow(s, iommufd, ioas, 0, 0);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, Page);
        }),
        new("allow-iovas-arguments", static s =>
        {
            UserBuffer ranges = s.Memory();
            (int iommufd, uint ioas) = Open(s);
            Ranges(ranges, (0x1000, 0x1FFF));
            Allow(s, iommufd, 99, 1, ranges.Address);
            Allow(s, iommufd, ioas, 1, 0);
            Allow(s, iommufd, ioas, 0, 0x1000);
            s.Ioctl(iommufd, IOMMU_IOAS_ALLOW_IOVAS, new iommu_ioas_allow_iovas { ioas_id = ioas, num_iovas = 1, __reserved = 1, allowed_iovas = ranges.Address });
            Ranges(ranges, (0x1000, 0x1000));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            Ranges(ranges, (0x1000, 0xFFF));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            Ranges(ranges, (0x1000, 0x1FFF), (0x1FFF, 0x2FFF));
            Allow(s, iommufd, ioas, 2, ranges.Address);
            Ranges(ranges, (0x2000, 0x2FFF), (0x1000, 0x1FFF));
            Allow(s, iommufd, ioas, 2, ranges.Address);
            Allow(s, iommufd, ioas, 2, ranges.Address + (uint)ranges.Size - 16);
            s.MapAnywhere(iommufd, ioas, 0x7F0000000000, 2 * Page);
        }),
        new("allow-iovas-against-reserved", static s =>
        {
            UserBuffer ranges = s.Memory();
            (int iommufd, uint ioas, int device) = OpenAttached(s);
            Ranges(ranges, (0xFEE00000, 0xFEE00FFF));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            Ranges(ranges, (0x1000, 1UL << 50));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            s.Detach(device);
            Ranges(ranges, (0xFEE00000, 0xFEE00FFF));
            Allow(s, iommufd, ioas, 1, ranges.Address);
            s.Attach(device, ioas);
            Allow(s, iommufd, ioas, 0, 0);
            s.Attach(device, ioas);
        }),
        new("iova-ranges", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            IovaRanges(s, iommufd, ioas, 4);
            IovaRanges(s, iommufd, ioas, 0);
            IovaRanges(s, iommufd, 99, 4);
            s.Ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, new iommu_ioas_iova_ranges { ioas_id = ioas, num_iovas = 4, allowed_iovas = 0 });
            s.Ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, new iommu_ioas_iova_ranges { ioas_id = ioas, __reserved = 1 });
        }),
        new("iova-ranges-with-a-device", static s =>
        {
            (int iommufd, uint ioas, int device) = OpenAttached(s);
            IovaRanges(s, iommufd, ioas, 4);
            IovaRanges(s, iommufd, ioas, 1);
            IovaRanges(s, iommufd, ioas, 0);
            s.Detach(device);
            IovaRanges(s, iommufd, ioas, 4);
        }),
        new("unmap", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, uint ioas) = Open(s);
            s.Unmap(iommufd, 99, 0x1000, Page);
            s.Unmap(iommufd, ioas, 0x1000, Page);
            s.Unmap(iommufd, ioas, 0, ulong.MaxValue);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x20000);
            s.Unmap(iommufd, ioas, 0x10000, Page);
            s.Unmap(iommufd, ioas, 0x11000, Page);
            s.Unmap(iommufd, ioas, 0x10000, 0);
            s.Unmap(iommufd, ioas, 0xFFFFFFFFFFFFF000, 2 * Page);
            s.Unmap(iommufd, ioas, 1, ulong.MaxValue);
            s.Unmap(iommufd, ioas, ulong.MaxValue, 1);
            s.Unmap(iommufd, ioas, 0, 0x100000);
            s.Unmap(iommufd, ioas, 0, 0x100000);
        }),
        new("unmap-is-not-atomic", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x20000);
            s.Unmap(iommufd, ioas, 0, 0x21000);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000);
            s.Unmap(iommufd, ioas, 0, ulong.MaxValue);
        }),
        new("unmap-bytes", static s =>
        {
            UserBuffer memory = s.Memory();
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address + 3, 7, 0x10003);
            s.Unmap(iommufd, ioas, 0x10003, 6);
            s.Unmap(iommufd, ioas, 0x10003, 7);
        }),
        new("copy", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, uint ioas) = Open(s);
            uint other = s.NewIoas(iommufd);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address + (2 * Page), Page, 0x12000);
            Copy(s, iommufd, ioas, 0x10000, other, 0, 2 * Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, other, 0, 2 * Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x11000, other, 0x100000, 2 * Page, ReadWrite | 1);
            s.Unmap(iommufd, other, 0x100000, Page);
            s.Unmap(iommufd, other, 0x101000, Page);
            Copy(s, iommufd, ioas, 0x10800, other, 0x200000, 0x100, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, other, 0, 2 * Page, ReadWrite);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x30000, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x10000, Page, ReadWrite | 1);
        }),
        new("copy-arguments", static s =>
        {
            UserBuffer memory = s.Memory(4);
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x10000);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, Page, 8);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, Page, 0);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, Page, 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, 0, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, ulong.MaxValue, ReadWrite | 1);
            Copy(s, iommufd, ioas, ulong.MaxValue, ioas, 0x20000, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, ulong.MaxValue, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0xFFFFFFFFFFFFF000, ioas, 0x20000, 2 * Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, 3 * Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0xF000, ioas, 0x20000, 2 * Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x50000, ioas, 0x20000, Page, ReadWrite | 1);
            Copy(s, iommufd, 99, 0x10000, ioas, 0x20000, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, 99, 0x20000, Page, ReadWrite | 1);
            Copy(s, iommufd, 99, 0x10000, ioas, 0x20000, 0, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x50000, 99, 0x20000, Page, ReadWrite | 1);
        }),
        new("copy-cannot-add-rights", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, uint ioas) = Open(s);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000, IOMMU_IOAS_MAP_READABLE);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x20000, Page, IOMMU_IOAS_MAP_READABLE | 1);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x30000);
            Copy(s, iommufd, ioas, 0x30000, ioas, 0x40000, Page, IOMMU_IOAS_MAP_READABLE | 1);
            Copy(s, iommufd, ioas, 0x40000, ioas, 0x50000, Page, ReadWrite | 1);
            Copy(s, iommufd, ioas, 0x10000, ioas, 0x30000, Page, ReadWrite | 1);
        }),
        new("map-file", static s =>
        {
            (int iommufd, uint ioas) = Open(s);
            int memory = s.MemFd(4 * Page);
            MapFile(s, iommufd, ioas, memory, 0, Page);
            MapFile(s, iommufd, ioas, memory, Page, 2 * Page);
            MapFile(s, iommufd, ioas, memory, 0x10, 0x20);
            MapFile(s, iommufd, ioas, memory, 0, 0);
            MapFile(s, iommufd, ioas, memory, ulong.MaxValue, 2);
            MapFile(s, iommufd, ioas, memory, 0, ulong.MaxValue);
            MapFile(s, iommufd, ioas, -1, 0, Page);
            MapFile(s, iommufd, ioas, 999, 0, Page);
            MapFile(s, iommufd, 99, memory, 0, Page);
            MapFile(s, iommufd, ioas, memory, 0, Page, flags: 0);
            MapFile(s, iommufd, ioas, memory, 0, Page, flags: 8);
            MapFile(s, iommufd, ioas, memory, 0, 8 * Page);
            MapFile(s, iommufd, ioas, s.EventFd(), 0, Page);
            MapFile(s, iommufd, ioas, iommufd, 0, Page);
        }),
        new("map-file-with-a-device", static s =>
        {
            (int iommufd, uint ioas, _) = OpenAttached(s);
            int memory = s.MemFd(4 * Page);
            MapFile(s, iommufd, ioas, memory, 0, 4 * Page);
            MapFile(s, iommufd, ioas, memory, 0, 5 * Page);
            MapFile(s, iommufd, ioas, memory, 4 * Page, Page);
            MapFile(s, iommufd, ioas, memory, 0x800, Page);
            MapFile(s, iommufd, ioas, s.EventFd(), 0, Page);
        }),
        new("map-with-a-device-pins", static s =>
        {
            UserBuffer memory = s.Memory(2);
            UserBuffer readOnly = s.Memory(1, isReadOnly: true);
            (int iommufd, uint ioas, _) = OpenAttached(s);
            s.MapFixed(iommufd, ioas, 0x1000, Page, 0x10000);
            s.MapFixed(iommufd, ioas, memory.Address, 3 * Page, 0x10000);
            s.MapFixed(iommufd, ioas, readOnly.Address, Page, 0x10000);
            s.MapFixed(iommufd, ioas, readOnly.Address, Page, 0x10000, IOMMU_IOAS_MAP_READABLE);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0x20000, IOMMU_IOAS_MAP_WRITEABLE);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0xFEE00000);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, 0xFEDFF000);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 1UL << 48);
            s.MapFixed(iommufd, ioas, memory.Address, 2 * Page, (1UL << 48) - Page);
            s.MapFixed(iommufd, ioas, memory.Address, Page, (1UL << 48) - Page);
            s.Unmap(iommufd, ioas, 0, ulong.MaxValue);
        }),
        new("attach-with-mappings", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, int device, _) = s.OpenBound();
            uint bad = s.NewIoas(iommufd);
            s.MapFixed(iommufd, bad, 0x1000, Page, 0x10000);
            s.Attach(device, bad);
            uint small = s.NewIoas(iommufd);
            s.MapFixed(iommufd, small, memory.Address, 100, 0x10000);
            s.Attach(device, small);
            uint reserved = s.NewIoas(iommufd);
            s.MapFixed(iommufd, reserved, memory.Address, Page, 0xFEE00000);
            s.Attach(device, reserved);
            uint beyond = s.NewIoas(iommufd);
            s.MapFixed(iommufd, beyond, memory.Address, Page, 1UL << 48);
            s.Attach(device, beyond);
            uint good = s.NewIoas(iommufd);
            s.MapFixed(iommufd, good, memory.Address, 2 * Page, 0x10000);
            s.Attach(device, good);
            s.Attach(device, bad);
            s.Attach(device, reserved);
            s.Unmap(iommufd, good, 0x10000, 2 * Page);
            s.Detach(device);
            s.Destroy(iommufd, bad);
        }),
        new("destroy-with-mappings-and-devices", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, uint ioas, int device) = OpenAttached(s);
            s.MapFixed(iommufd, ioas, memory.Address, Page, 0x10000);
            s.Destroy(iommufd, ioas);
            s.Detach(device);
            s.Destroy(iommufd, ioas);
        }),
    ]);

    private static (int Iommufd, uint Ioas) Open(Session s)
    {
        int iommufd = s.Iommufd();
        return (iommufd, s.NewIoas(iommufd));
    }

    private static (int Iommufd, uint Ioas, int Device) OpenAttached(Session s)
    {
        (int iommufd, int device, _) = s.OpenBound();
        uint ioas = s.NewIoas(iommufd);
        s.Attach(device, ioas);
        return (iommufd, ioas, device);
    }

    private static void Ranges(UserBuffer buffer, params (ulong Start, ulong Last)[] ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
        {
            MemoryMarshal.Write(buffer.Span[(i * 16)..], new iommu_iova_range { start = ranges[i].Start, last = ranges[i].Last });
        }
    }

    private static void Allow(Session s, int iommufd, uint ioas, uint count, ulong address)
        => s.Ioctl(iommufd, IOMMU_IOAS_ALLOW_IOVAS, new iommu_ioas_allow_iovas { ioas_id = ioas, num_iovas = count, allowed_iovas = address });

    private static void IovaRanges(Session s, int iommufd, uint ioas, uint count)
    {
        UserBuffer ranges = s.Memory();
        s.Ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, new iommu_ioas_iova_ranges { ioas_id = ioas, num_iovas = count, allowed_iovas = ranges.Address });
        s.Note("ranges", string.Join(' ', MemoryMarshal.Cast<byte, iommu_iova_range>(ranges.Span[..64]).ToArray().Select(static range => $"{range.start:x}-{range.last:x}")));
    }

    private static void Copy(Session s, int iommufd, uint source, ulong from, uint destination, ulong to, ulong length, uint flags)
        => s.Ioctl(iommufd, IOMMU_IOAS_COPY, new iommu_ioas_copy { flags = flags, src_ioas_id = source, src_iova = from, dst_ioas_id = destination, dst_iova = to, length = length });

    private static void MapFile(Session s, int iommufd, uint ioas, int file, ulong start, ulong length, uint flags = ReadWrite)
        => s.Ioctl(iommufd, IOMMU_IOAS_MAP_FILE, new iommu_ioas_map_file { flags = flags, ioas_id = ioas, fd = file, start = start, length = length });
}
