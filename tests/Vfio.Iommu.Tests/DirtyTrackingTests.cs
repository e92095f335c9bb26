using System.Collections;
using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>What devices wrote (spec iommufd §2.14, §2.15, §3.7, §8.8).</summary>
public sealed class DirtyTrackingTests
{
    private const uint Dirty = IommufdUapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING;

    [Fact]
    public void Case141_142_tracking_must_be_asked_for_and_possible()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.PageTable(c.Bind().Id, ioas, out uint plain));
        Assert.Equal(Errno.EOPNOTSUPP, Track(c, plain));
        Assert.Equal(Errno.EOPNOTSUPP, Read(c, plain, Base, P, 2048, out _));
        IommufdDevice without = c.Bind(tracks: false);
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(without.Id, ioas, out _, Dirty));
        Assert.Equal(Errno.None, c.PageTable(c.Bind().Id, ioas, out uint tracked, Dirty));
        Assert.Equal(Errno.EINVAL, without.Attach(ref tracked));
    }

    [Fact]
    public void Case143_144_145_146_dirty_commands_are_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint tracked, Dirty));
        Assert.Equal(Errno.EINVAL, Read(c, tracked, Base, 0, 2048, out _));
        Assert.Equal(Errno.EINVAL, Read(c, tracked, Base, P, 0, out _));
        Assert.Equal(Errno.EINVAL, Read(c, tracked, Base + 1024, P, 2048, out _));
        Assert.Equal(Errno.EINVAL, Read(c, tracked, Base + 2048, P, 4096, out _));
        Assert.Equal(Errno.EOVERFLOW, Read(c, tracked, (Max - 10) & ~2047ul, 4096, 2048, out _));
        Assert.Equal(Errno.EOPNOTSUPP, Read(c, tracked, Base, P, 2048, out _, flags: 2));
        Assert.Equal(Errno.EOPNOTSUPP, Track(c, tracked, 2));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint parent, IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT));
        Assert.Equal(Errno.None, c.PageTable(device.Id, parent, out uint nested, type: NestedType, data: 1));
        Assert.Equal(Errno.ENOENT, Read(c, nested, Base, P, 2048, out _));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR)]
    public void Case147_148_an_entry_is_reported_whole_and_cleared_unless_told_otherwise(uint flags)
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        ulong off = 0;
        Assert.Equal(Errno.None, c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, ref off));
        IommufdDevice device = Tracked(c, ioas, out uint pageTable);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 2 * P));
        Assert.Equal(Errno.None, Track(c, pageTable));
        Assert.Equal(Errno.None, device.Write(Base + 2048, [1]));
        Assert.Equal(Errno.None, Read(c, pageTable, Base, 2 * P, 2048, out bool[] bits, flags));
        Assert.Equal([true, true, false, false], bits[..4]);
        Assert.Equal(Errno.None, Read(c, pageTable, Base, 2 * P, 2048, out bits, flags));
        Assert.Equal(flags != 0, bits[0] && bits[1]);
        Assert.DoesNotContain(true, bits[2..]);
    }

    [Fact]
    public void Case149_enabling_starts_clean()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = Tracked(c, ioas, out uint pageTable);
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, Track(c, pageTable));
        Assert.Equal(Errno.None, device.Write(Base, [1]));
        Assert.Equal(Errno.None, Track(c, pageTable));
        Assert.Equal(Errno.None, Read(c, pageTable, Base, P, 2048, out bool[] bits));
        Assert.DoesNotContain(true, bits);
        Assert.Equal(Errno.None, Track(c, pageTable, 0));
        Assert.Equal(Errno.None, device.Write(Base, [1]));
        Assert.Equal(Errno.None, Read(c, pageTable, Base, P, 2048, out bits));
        Assert.DoesNotContain(true, bits);
    }

    [Fact]
    public void Case150_a_hole_ends_the_report_and_is_no_error()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = Tracked(c, ioas, out uint pageTable);
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (2 * P), P));
        Assert.Equal(Errno.None, Track(c, pageTable));
        Assert.Equal(Errno.None, device.Write(Base, [1]));
        Assert.Equal(Errno.None, device.Write(Base + (2 * P), [1]));
        Assert.Equal(Errno.None, Read(c, pageTable, Base, 3 * P, P, out bool[] bits));
        Assert.Equal([true, false, false], bits[..3]);
        Assert.Equal(Errno.None, Read(c, pageTable, Base + (2 * P), P, P, out bits));
        Assert.True(bits[0]);
    }

    [Fact]
    public void Bits_are_set_and_never_cleared_at_any_byte()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = Tracked(c, ioas, out uint pageTable);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 16 * P));
        Assert.Equal(Errno.None, Track(c, pageTable));
        Assert.Equal(Errno.None, device.Write(Base, [1])); // One entry of 64 KiB.
        c.Memory.Bytes.AsSpan(256, 64).Clear();
        c.Memory.Bytes[256 + 9] = 0x40;
        iommu_hwpt_get_dirty_bitmap command = new() { hwpt_id = pageTable, iova = Base + P, length = 13 * P, page_size = P, data = ListAddress + 3 };
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, ref command));
        Assert.Equal([0, 0, 0, 0xFF, 0x1F, 0], c.Memory.Bytes[256..262]);
        Assert.Equal(0x40, c.Memory.Bytes[256 + 9]);

        // A bitmap that can't be written loses bits without an error, and they are cleared all the same.
        Assert.Equal(Errno.None, device.Write(Base, [1]));
        command.data = 0x99;
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, ref command));
        Assert.Equal(Errno.None, Read(c, pageTable, Base, 16 * P, P, out bool[] bits));
        Assert.DoesNotContain(true, bits);
    }

    private static IommufdDevice Tracked(IommufdCaller c, uint ioas, out uint pageTable)
    {
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out pageTable, Dirty));
        uint target = pageTable;
        Assert.Equal(Errno.None, device.Attach(ref target));
        return device;
    }

    private static Errno Track(IommufdCaller c, uint pageTable, uint flags = IommufdUapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
    {
        iommu_hwpt_set_dirty_tracking command = new() { flags = flags, hwpt_id = pageTable };
        return c.Call(IommufdUapi.IOMMU_HWPT_SET_DIRTY_TRACKING, ref command);
    }

    private static Errno Read(IommufdCaller c, uint pageTable, ulong iova, ulong length, ulong pageSize, out bool[] bits, uint flags = 0)
    {
        c.Memory.Bytes.AsSpan(256, 64).Clear();
        iommu_hwpt_get_dirty_bitmap command = new()
        {
            hwpt_id = pageTable,
            flags = flags,
            iova = iova,
            length = length,
            page_size = pageSize,
            data = ListAddress,
        };
        Errno error = c.Call(IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, ref command);
        bits = [.. new BitArray(c.Memory.Bytes[256..320]).Cast<bool>()];
        return error;
    }
}
