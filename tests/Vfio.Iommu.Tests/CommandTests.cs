using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;

namespace Vfio.Iommu.Tests;

/// <summary>The commands of contexts and address spaces in their binary form (spec iommufd §8.1–§8.6, §8.10).</summary>
public sealed class CommandTests
{
    private static readonly (uint Command, uint Known, uint Minimum)[] s_commands =
    [
        (IommufdUapi.IOMMU_DESTROY, 8, 8),
        (IommufdUapi.IOMMU_IOAS_ALLOC, 12, 12),
        (IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS, 24, 24),
        (IommufdUapi.IOMMU_IOAS_COPY, 40, 40),
        (IommufdUapi.IOMMU_IOAS_IOVA_RANGES, 32, 32),
        (IommufdUapi.IOMMU_IOAS_MAP, 40, 40),
        (IommufdUapi.IOMMU_IOAS_UNMAP, 24, 24),
        (IommufdUapi.IOMMU_OPTION, 24, 24),
        (IommufdUapi.IOMMU_VFIO_IOAS, 12, 12),
        (IommufdUapi.IOMMU_IOAS_MAP_FILE, 40, 40),
        (IommufdUapi.IOMMU_HWPT_ALLOC, 48, 24),
        (IommufdUapi.IOMMU_GET_HW_INFO, 40, 32),
        (IommufdUapi.IOMMU_HWPT_SET_DIRTY_TRACKING, 16, 16),
        (IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, 48, 48),
        (IommufdUapi.IOMMU_HWPT_INVALIDATE, 32, 32),
        (IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, 16, 16),
        (IommufdUapi.IOMMU_VIOMMU_ALLOC, 40, 24),
        (IommufdUapi.IOMMU_VDEVICE_ALLOC, 24, 24),
        (IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, 8, 8),
        (IommufdUapi.IOMMU_VEVENTQ_ALLOC, 32, 28),
        (IommufdUapi.IOMMU_HW_QUEUE_ALLOC, 40, 40),
        (IommufdUapi.IOMMU_IOAS_NOIOMMU_GET_PA, 40, 40),
    ];

    public static TheoryData<uint, uint, uint> Commands()
    {
        TheoryData<uint, uint, uint> data = [];
        foreach ((uint command, uint known, uint minimum) in s_commands)
        {
            data.Add(command, known, minimum);
        }

        return data;
    }

    [Fact]
    public void Case001_002_003_004_ids()
    {
        using IommufdCaller c = new();
        Assert.Equal([1u, 2u, 3u], [c.Alloc(), c.Alloc(), c.Alloc()]);
        Assert.Equal(Errno.None, c.Destroy(2));
        Assert.Equal(2u, c.Alloc());
        Assert.Equal(Errno.ENOENT, c.Destroy(0));
        Assert.Equal(Errno.ENOENT, c.Destroy(99));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Case005_null_pointer_is_EFAULT(uint command, uint known, uint minimum)
    {
        using IommufdCaller c = new();
        Assert.True(known >= minimum);
        Assert.Equal(Errno.EFAULT, c.Context.Ioctl(command, new UserArgument(c.Memory, 0)).Error);
    }

    [Fact]
    public void Case006_007_008_009_unknown_commands()
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.ENOTTY, c.CallRaw(0x3B7F, 16));
        Assert.Equal(Errno.ENOTTY, c.CallRaw(0x3B96, 16));
        Assert.Equal(Errno.ENOTTY, c.CallRaw(0xC0003B81, 16));
        Assert.Equal(Errno.EFAULT, c.Context.Ioctl(0xC0003B81, new UserArgument(c.Memory, 0)).Error);
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Case010_011_012_sizes(uint command, uint known, uint minimum)
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.EINVAL, c.CallRaw(command, minimum - 1));
        Assert.Equal(Errno.E2BIG, c.CallRaw(command, known + 1, 0xFF, (int)known));
        using IommufdCaller d = new();
        Assert.Equal(d.CallRaw(command, known), c.CallRaw(command, known + 1));
    }

    [Fact]
    public void Case013_014_015_destroy_sizes()
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.ENOENT, c.CallRaw(IommufdUapi.IOMMU_DESTROY, 16));
        Assert.Equal(Errno.E2BIG, c.CallRaw(IommufdUapi.IOMMU_DESTROY, 16, 1, 8));
        Assert.Equal(Errno.EINVAL, c.CallRaw(IommufdUapi.IOMMU_DESTROY, 7));
    }

    [Fact]
    public void Case017_flags_are_refused_and_leave_no_id()
    {
        using IommufdCaller c = new();
        iommu_ioas_alloc command = new() { flags = 1 };
        Assert.Equal(Errno.EOPNOTSUPP, c.Call(IommufdUapi.IOMMU_IOAS_ALLOC, ref command));
        Assert.Equal(1u, c.Alloc());
    }

    [Fact]
    public void Unwritable_reply_of_an_allocation_leaves_no_object()
    {
        using IommufdContext context = new();
        TestUserMemory memory = new(64, writable: 0);
        memory.Bytes[0] = 12;
        Assert.Equal(Errno.EFAULT, context.Ioctl(IommufdUapi.IOMMU_IOAS_ALLOC, new UserArgument(memory, TestUserMemory.Base)).Error);
        Assert.Equal(0, context.ObjectCount);
    }

    [Fact]
    public void Case024_025_ranges_of_a_fresh_ioas()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Ranges(ioas, 4, out uint count, out ulong alignment, out (ulong, ulong)[] ranges));
        Assert.Equal((1u, 1ul), (count, alignment));
        Assert.Equal((0ul, Max), ranges[0]);
        Assert.Equal(Errno.EMSGSIZE, c.Ranges(ioas, 0, out count, out _, out _));
        Assert.Equal(1u, count);
    }

    [Fact]
    public void Case026_027_ranges_around_a_reservation()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Reserve(c, ioas, P, (2 * P) - 1);
        Assert.Equal(Errno.None, c.Ranges(ioas, 4, out uint count, out _, out (ulong, ulong)[] ranges));
        Assert.Equal(2u, count);
        Assert.Equal([(0ul, P - 1), (2 * P, Max)], ranges[..2]);
        Assert.Equal(Errno.EMSGSIZE, c.Ranges(ioas, 1, out count, out _, out ranges));
        Assert.Equal(2u, count);
        Assert.Equal((0ul, P - 1), ranges[0]);
    }

    [Fact]
    public void Case031_032_ranges_reserved_field_and_wrong_kind_of_id()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.EOPNOTSUPP, c.Ranges(ioas, 1, out _, out _, out _, reserved: 1));
        Assert.Equal(Errno.None, c.Context.CreateAccess(null, out IommufdAccess? access));
        Assert.Equal(Errno.ENOENT, c.Ranges(access!.Id, 1, out _, out _, out _));
        access.Destroy();
    }

    [Fact]
    public void Case033_034_035_036_allowed_lists()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.EINVAL, c.Allow(ioas, (5, 5)));
        Assert.Equal(Errno.EINVAL, c.Allow(ioas, (6, 5)));
        Assert.Equal(Errno.EINVAL, c.Allow(ioas, (0, 9), (9, 20)));
        Assert.Equal(Errno.None, c.Allow(ioas, (0, 9), (10, 20)));
    }

    [Fact]
    public void Case037_040_allowed_list_that_meets_a_reservation_stays()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Allow(ioas, (0x10000, 0x1ffff)));
        Reserve(c, ioas, P, (2 * P) - 1);
        Assert.Equal(Errno.EADDRINUSE, c.Allow(ioas, (0, 10 * P)));
        ulong iova = 0;
        Assert.Equal(Errno.None, c.Map(ioas, ref iova, P, ReadWrite));
        Assert.Equal(0x10000ul, iova);
        Assert.Equal(Errno.None, c.Map(ioas, 0x900000, P));
    }

    [Fact]
    public void Case042_to_049_map_is_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        ulong iova = 0;
        Assert.Equal(Errno.EINVAL, c.Map(ioas, ref iova, P, 0));
        Assert.Equal(Errno.EOPNOTSUPP, c.Map(ioas, ref iova, P, ReadWrite | 8));
        Assert.Equal(Errno.EOPNOTSUPP, c.Map(ioas, ref iova, P, ReadWrite, reserved: 1));
        iova = Max;
        Assert.Equal(Errno.EOVERFLOW, c.Map(ioas, ref iova, P, ReadWrite));
        Assert.Equal(Errno.EOVERFLOW, c.Map(ioas, 0, Max, ReadWrite));
        Assert.Equal(Errno.EINVAL, c.Map(ioas, 0, 0, ReadWrite));
        Assert.Equal(Errno.EOVERFLOW, c.Map(ioas, 0, P, ReadWrite, va: Max - 100));
        Assert.Equal(Errno.EOVERFLOW, c.Map(ioas, Max - P + 1, 2 * P));
    }

    [Fact]
    public void Case050_051_052_053_map()
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.ENOENT, c.Map(7, 0, P));
        Assert.Equal(Errno.EINVAL, c.Map(7, 0, P, 0));
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, Max - P + 1, P));
        ulong iova = 0x1234;
        Assert.Equal(Errno.None, c.Map(ioas, ref iova, P, ReadWrite));
        Assert.Equal(0x1000ul, iova);
    }

    [Fact]
    public void Case054_placement_keeps_the_offset_of_the_user_address()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(
            [0x1800ul, 0x2800, 0x3810, 0x3830],
            new[] { (B + 0x800, 0x1000ul), (B + 0x800, 0x1000ul), (B + 0x810, 0x20ul), (B + 0x810, 0x20ul) }.Select(request =>
            {
                ulong iova = 0;
                Assert.Equal(Errno.None, c.Map(ioas, ref iova, request.Item2, ReadWrite, request.Item1));
                return iova;
            }));
    }

    [Fact]
    public void Case066_misaligned_source_with_large_pages_off_is_EINVAL()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        ulong value = 0;
        Assert.Equal(Errno.None, c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, ref value));
        Assert.Equal(Errno.EINVAL, c.Map(ioas, 16 * P, P, va: B + 2048));
        Assert.Equal(Errno.None, c.Map(ioas, 16 * P, P));
    }

    [Fact]
    public void Case068_069_070_map_file_is_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.EINVAL, c.MapFile(ioas, 5, 0, 0, 0));
        Assert.Equal(Errno.EOVERFLOW, c.MapFile(ioas, 5, Max - 10, P, 0));
        Assert.Equal(Errno.EBADF, c.MapFile(ioas, -1, 0, P, 0));
    }

    [Fact]
    public void Map_file_shows_the_file_and_keeps_it()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        using MemFd memory = new("test", 4 * P);
        Assert.Equal(3, memory.Descriptor.WriteAt([1, 2, 3], P + 8).Count);
        c.Files.Files[5] = memory.Descriptor;
        Assert.Equal(Errno.None, c.MapFile(ioas, 5, P, 2 * P, 0x10000));

        // Beyond its end it can be mapped and not used: that is found out when the memory is needed (spec iommufd Q9).
        Assert.Equal(Errno.None, c.MapFile(ioas, 5, P, 4 * P, 0x20000));
        memory.Dispose();
        Assert.Equal(Errno.None, c.Context.CreateAccess(null, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        byte[] read = new byte[3];
        Assert.Equal(Errno.None, access.Read(0x10008, read));
        Assert.Equal([1, 2, 3], read);
        Assert.Equal(Errno.EFAULT, access.Read(0x20000 + (3 * P), read));
        access.Destroy();
    }

    [Fact]
    public void Case074_to_079_unmap_is_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.ENOENT, c.Unmap(ioas, 0, P));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max, out ulong unmapped));
        Assert.Equal(0ul, unmapped);
        Assert.Equal(Errno.EOVERFLOW, c.Unmap(ioas, 1, Max));
        Assert.Equal(Errno.EINVAL, c.Unmap(ioas, P, 0));
        Assert.Equal(Errno.EOVERFLOW, c.Unmap(ioas, Max - P + 1, 2 * P));
        Assert.Equal(Errno.ENOENT, c.Unmap(ioas, 0, Max - 1));
        Assert.Equal(Errno.ENOENT, c.Unmap(77, 0, P));
    }

    [Fact]
    public void Case080_081_082_unmap()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, 0, 2 * P));
        Assert.Equal(Errno.ENOENT, c.Unmap(ioas, 0, P));
        Assert.Equal(Errno.ENOENT, c.Unmap(ioas, P, P));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, 2 * P, out ulong unmapped));
        Assert.Equal(2 * P, unmapped);
        Assert.Equal(Errno.None, c.Map(ioas, 4 * P, 8 * P));
        Assert.Equal(Errno.None, c.Map(ioas, 20 * P, 8 * P));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, 40 * P, out unmapped));
        Assert.Equal(16 * P, unmapped);
    }

    [Fact]
    public void Case085_086_087_copy()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, 0, 4 * P));
        Assert.Equal(Errno.None, c.Copy(ioas, 100 * P, ioas, P, P));
        uint other = c.Alloc();
        Assert.Equal(Errno.None, c.Map(other, 0, P));
        Assert.Equal(Errno.None, c.Map(other, P, P));
        Assert.Equal(Errno.None, c.Copy(other, 100 * P, other, 0, 2 * P));
        Assert.Equal(Errno.None, c.Unmap(other, 100 * P, P));
        Assert.Equal(Errno.None, c.Unmap(other, 101 * P, P));
        uint third = c.Alloc();
        Assert.Equal(Errno.None, c.Map(third, 0, P));
        Assert.Equal(Errno.None, c.Map(third, 2 * P, P));
        Assert.Equal(Errno.ENOENT, c.Copy(third, 100 * P, third, 0, 3 * P));
    }

    [Fact]
    public void Case088_to_092_copy_is_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.EINVAL, c.Copy(ioas, 0, ioas, 0, 0));
        Assert.Equal(Errno.EOVERFLOW, c.Copy(ioas, 0, ioas, Max, P));
        Assert.Equal(Errno.EOVERFLOW, c.Copy(ioas, Max, ioas, 0, P));
        Assert.Equal(Errno.EOVERFLOW, c.Copy(ioas, 0, ioas, 0, Max));
        Assert.Equal(Errno.EINVAL, c.Copy(ioas, 0, ioas, 0, P, 0));
        Assert.Equal(Errno.EOPNOTSUPP, c.Copy(ioas, 0, ioas, 0, P, ReadWrite | 8));
        Assert.Equal(Errno.ENOENT, c.Copy(ioas, 0, 99, 0, P));
        Assert.Equal(Errno.None, c.Map(ioas, 0, P));
        Assert.Equal(Errno.ENOENT, c.Copy(99, 0, ioas, 0, P));
    }

    [Fact]
    public void Case093_094_095_writability_belongs_to_the_memory()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, 0, P, Fixed | Readable));
        Assert.Equal(Errno.EPERM, c.Copy(ioas, 10 * P, ioas, 0, P, Fixed | Writeable));
        Assert.Equal(Errno.None, c.Copy(ioas, 10 * P, ioas, 0, P, Fixed | Readable));
        Assert.Equal(Errno.None, c.Map(ioas, 20 * P, P));
        Assert.Equal(Errno.None, c.Copy(ioas, 30 * P, ioas, 20 * P, P, Fixed | Readable));
        Assert.Equal(Errno.None, c.Copy(ioas, 40 * P, ioas, 30 * P, P, Fixed | Writeable));
    }

    [Fact]
    public void Case097_099_copy_onto_something_and_to_anywhere()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, 0, 2 * P));
        Assert.Equal(Errno.EEXIST, c.Copy(ioas, P, ioas, 0, P));
        Assert.Equal(1, c.Ioas(ioas).AreaCount);
        ulong iova = 0;
        Assert.Equal(Errno.None, c.Copy(ioas, ref iova, ioas, 0, 2 * P, ReadWrite));
        Assert.Equal(2 * P, iova);
    }

    [Fact]
    public void Failing_copy_of_several_areas_leaves_nothing()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, 0, P));
        Assert.Equal(Errno.None, c.Map(ioas, P, P, Fixed | Readable));
        Assert.Equal(Errno.EPERM, c.Copy(ioas, 50 * P, ioas, 0, 2 * P));
        Assert.Equal(2, c.Ioas(ioas).AreaCount);
        Assert.Equal(Errno.None, c.Map(ioas, 50 * P, 2 * P));
    }

    [Fact]
    public void Case100_to_104_accounting_mode()
    {
        using IommufdCaller c = new();
        ulong value = 9;
        Assert.Equal(Errno.None, Mode(c, IommufdUapi.IOMMU_OPTION_OP_GET, ref value));
        Assert.Equal(0ul, value);
        value = 1;
        Assert.Equal(Errno.None, Mode(c, IommufdUapi.IOMMU_OPTION_OP_SET, ref value));
        value = 0;
        Assert.Equal(Errno.None, Mode(c, IommufdUapi.IOMMU_OPTION_OP_GET, ref value));
        Assert.Equal(1ul, value);
        value = 2;
        Assert.Equal(Errno.EINVAL, Mode(c, IommufdUapi.IOMMU_OPTION_OP_SET, ref value));
        value = 0;
        Assert.Equal(Errno.None, Mode(c, IommufdUapi.IOMMU_OPTION_OP_SET, ref value));
        Assert.Equal(Errno.EOPNOTSUPP, c.Option(IommufdUapi.IOMMU_OPTION_RLIMIT_MODE, IommufdUapi.IOMMU_OPTION_OP_GET, 1, ref value));
        _ = c.Alloc();
        value = 2;
        Assert.Equal(Errno.EBUSY, Mode(c, IommufdUapi.IOMMU_OPTION_OP_SET, ref value));
        using IommufdCaller unprivileged = new(CallerCapabilities.None);
        value = 1;
        Assert.Equal(Errno.EPERM, Mode(unprivileged, IommufdUapi.IOMMU_OPTION_OP_SET, ref value));
    }

    [Fact]
    public void Case105_106_109_large_pages()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal((Errno.None, 1ul), Large(c, IommufdUapi.IOMMU_OPTION_OP_GET, ioas, 9));
        Assert.Equal((Errno.None, 0ul), Large(c, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, 0));
        Assert.Equal((Errno.None, 0ul), Large(c, IommufdUapi.IOMMU_OPTION_OP_GET, ioas, 9));
        Assert.Equal(Errno.None, c.Ranges(ioas, 1, out _, out ulong alignment, out _));
        Assert.Equal(P, alignment);
        Assert.Equal(Errno.EINVAL, Large(c, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, 2).Error);
        Assert.Equal((Errno.None, 1ul), Large(c, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, 1));
        Assert.Equal(Errno.None, c.Ranges(ioas, 1, out _, out alignment, out _));
        Assert.Equal(1ul, alignment);
        Assert.Equal(Errno.None, c.Map(ioas, 0x800, P));
        Assert.Equal(Errno.EADDRINUSE, Large(c, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, 0).Error);
    }

    [Fact]
    public void Case110_111_112_unknown_options()
    {
        using IommufdCaller c = new();
        ulong value = 0;
        Assert.Equal(Errno.EOPNOTSUPP, c.Option(9, 1, 0, ref value));
        Assert.Equal(Errno.EOPNOTSUPP, c.Option(0, 1, 0, ref value, reserved: 1));
        Assert.Equal(Errno.ENOENT, Large(c, IommufdUapi.IOMMU_OPTION_OP_GET, 0, 0).Error);
        Assert.Equal(Errno.EOPNOTSUPP, Large(c, 7, c.Alloc(), 0).Error);
    }

    [Fact]
    public void Case186_187_compatibility_ioas()
    {
        using IommufdCaller c = new();
        uint id = 0;
        Assert.Equal(Errno.ENODEV, c.VfioIoas(IommufdUapi.IOMMU_VFIO_IOAS_GET, ref id));
        id = 7;
        Assert.Equal(Errno.ENOENT, c.VfioIoas(IommufdUapi.IOMMU_VFIO_IOAS_SET, ref id));
        Assert.Equal(Errno.EOPNOTSUPP, c.VfioIoas(3, ref id));
        id = c.Alloc();
        Assert.Equal(Errno.None, c.VfioIoas(IommufdUapi.IOMMU_VFIO_IOAS_SET, ref id));
        id = 0;
        Assert.Equal(Errno.None, c.VfioIoas(IommufdUapi.IOMMU_VFIO_IOAS_GET, ref id));
        Assert.Equal(1u, id);
        Assert.Equal(Errno.None, c.Destroy(1));
        Assert.Equal(Errno.ENODEV, c.VfioIoas(IommufdUapi.IOMMU_VFIO_IOAS_GET, ref id));
    }

    private static void Reserve(IommufdCaller c, uint ioas, ulong start, ulong last)
    {
        Assert.True(IovaRange.TryCreateInclusive(start, last, out IovaRange range));
        Assert.Equal(Errno.None, c.Ioas(ioas).Map.Reserve([range], c));
    }

    private static Errno Mode(IommufdCaller c, uint operation, ref ulong value) => c.Option(IommufdUapi.IOMMU_OPTION_RLIMIT_MODE, operation, 0, ref value);

    private static (Errno Error, ulong Value) Large(IommufdCaller c, uint operation, uint ioas, ulong value)
    {
        Errno error = c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, operation, ioas, ref value);
        return (error, value);
    }
}
