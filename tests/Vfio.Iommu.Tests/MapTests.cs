using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>Mapping, unmapping, usable and allowed ranges (spec iommufd §8.2–§8.4).</summary>
public sealed class MapTests
{
    [Fact]
    public void Case024_fresh_ioas_offers_everything()
    {
        using IommufdFixture f = new();
        IovaRange[] ranges = new IovaRange[4];
        Assert.Equal(1, f.Ioas.GetUsableRanges(ranges));
        Assert.Equal(IovaRange.All, ranges[0]);
        Assert.Equal(1ul, f.Ioas.Alignment);
    }

    [Fact]
    public void Case026_027_reserved_range_splits_the_offer()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Reserve(P, (2 * P) - 1));
        IovaRange[] ranges = new IovaRange[4];
        Assert.Equal(2, f.Ioas.GetUsableRanges(ranges));
        Assert.Equal((0ul, P - 1), (ranges[0].Start, ranges[0].Last));
        Assert.Equal((2 * P, Max), (ranges[1].Start, ranges[1].Last));
        Assert.Equal(2, f.Ioas.GetUsableRanges(ranges.AsSpan(0, 1)));
    }

    [Fact]
    public void Case030_mappings_do_not_change_the_offer()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        IovaRange[] ranges = new IovaRange[2];
        Assert.Equal(1, f.Ioas.GetUsableRanges(ranges));
        Assert.Equal(IovaRange.All, ranges[0]);
    }

    [Fact]
    public void Case035_036_allowed_ranges_must_not_overlap()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.EINVAL, f.Ioas.SetAllowedRanges([Range(0, 10), Range(9, 12)]));
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0, 10), Range(10, 11)]));
    }

    [Fact]
    public void Case037_allowed_range_on_reserved_keeps_the_old_list()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0x10000, 0x10000)]));
        Assert.Equal(Errno.None, f.Reserve(P, (2 * P) - 1));
        Assert.Equal(Errno.EADDRINUSE, f.Ioas.SetAllowedRanges([Range(0, 10 * P)]));
        MemorySource source = Memory(P);
        Assert.Equal(Errno.None, f.Ioas.MapAnywhere(0, P, source, 0, DmaAccess.Read, out ulong iova));
        Assert.Equal(0x10000ul, iova);
    }

    [Fact]
    public void Case038_039_040_allowed_ranges_stop_reservations_but_not_fixed_maps()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0, 10 * P)]));
        Assert.Equal(Errno.EADDRINUSE, f.Reserve(P, (2 * P) - 1));
        Assert.Equal(Errno.None, f.Map(0x900000, P));
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([]));
        Assert.Equal(Errno.None, f.Reserve(P, (2 * P) - 1));
    }

    [Fact]
    public void Case042_047_map_without_rights_or_length_is_EINVAL()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.EINVAL, f.Map(0, P, DmaAccess.None));
        Assert.Equal(Errno.EINVAL, f.Map(0, 0));
    }

    [Fact]
    public void Case049_050_last_page_can_be_mapped_and_not_passed()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.EOVERFLOW, f.Map(unchecked(0ul - P), 2 * P));
        Assert.Equal(Errno.None, f.Map(unchecked(0ul - P), P));
        IommufdAccess access = f.Access();
        Assert.Equal(Errno.None, access.Write(Max, [7]));
        Assert.Equal(Errno.EOVERFLOW, access.Write(Max, [7, 8]));
        Assert.Equal(Errno.None, f.Unmap(unchecked(0ul - P), P, out ulong unmapped));
        Assert.Equal(P, unmapped);
        access.Destroy();
    }

    [Fact]
    public void Case055_056_overlaps_are_EEXIST_and_neighbours_are_not()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(16 * P, 2 * P));
        foreach ((ulong start, ulong length) in new[] { (16 * P, 2 * P), (16 * P, P), (17 * P, P), (15 * P, 2 * P), (15 * P, 3 * P), (15 * P, 8 * P) })
        {
            Assert.Equal(Errno.EEXIST, f.Map(start, length));
        }

        Assert.Equal(Errno.None, f.Map(15 * P, P));
        Assert.Equal(Errno.None, f.Map(18 * P, P));
    }

    [Fact]
    public void Case057_map_on_reserved_is_EINVAL()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Reserve(P, (2 * P) - 1));
        Assert.Equal(Errno.EINVAL, f.Map(0, 2 * P));
    }

    [Fact]
    public void Map_beyond_the_limit_is_ENOSPC()
    {
        using IommufdContext context = new(new IommufdLimits { MaximumAreas = 2 });
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        MemorySource source = Memory(P);
        Assert.Equal(Errno.None, ioas!.MapFixed(0, P, source, 0, DmaAccess.Read));
        Assert.Equal(Errno.None, ioas.MapFixed(P, P, source, 0, DmaAccess.Read));
        Assert.Equal(Errno.ENOSPC, ioas.MapFixed(2 * P, P, source, 0, DmaAccess.Read));
        Assert.Equal(2, ioas.AreaCount);
    }

    [Fact]
    public void Map_outside_the_source_is_EINVAL()
    {
        using IommufdFixture f = new();
        MemorySource source = Memory(P);
        Assert.Equal(Errno.EINVAL, f.Ioas.MapFixed(0, 2 * P, source, 0, DmaAccess.Read));
        Assert.Equal(Errno.EINVAL, f.Ioas.MapFixed(0, P, source, 1, DmaAccess.Read));
        Assert.Equal(Errno.EINVAL, f.Ioas.MapFixed(0, 1, source, Max, DmaAccess.Read));
    }

    [Fact]
    public void Case075_unmap_all_of_nothing_succeeds()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.Unmap(IovaRange.All, out ulong unmapped));
        Assert.Equal(0ul, unmapped);
    }

    [Fact]
    public void Case080_part_of_an_area_is_ENOENT_and_it_stays()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 2 * P));
        Assert.Equal(Errno.ENOENT, f.Unmap(0, P, out _));
        Assert.Equal(Errno.ENOENT, f.Unmap(P, P, out _));
        Assert.Equal(1, f.Ioas.AreaCount);
    }

    [Fact]
    public void Case081_082_whole_areas_and_gaps()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(4 * P, 8 * P));
        Assert.Equal(Errno.None, f.Map(20 * P, 8 * P));
        Assert.Equal(Errno.None, f.Unmap(0, 40 * P, out ulong unmapped));
        Assert.Equal(16 * P, unmapped);
        Assert.Equal(0, f.Ioas.AreaCount);
    }

    [Fact]
    public void Case083_areas_before_the_offending_one_are_gone()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(P, 2 * P));
        Assert.Equal(Errno.ENOENT, f.Unmap(0, 2 * P, out _));
        Assert.False(f.Ioas.TryGetArea(0, out _));
        Assert.True(f.Ioas.TryGetArea(P, out IovaRange area));
        Assert.Equal(2 * P, area.Length);
    }
}
