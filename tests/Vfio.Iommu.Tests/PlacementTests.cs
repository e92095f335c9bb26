using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>The reference vectors of automatic placement (spec iommufd §3.2; case 54).</summary>
public sealed class PlacementTests
{
    private const ulong B = 0x7f0000000000;

    [Fact]
    public void Case054_pages_are_placed_first_fit()
    {
        using IommufdFixture f = new();
        Assert.Equal([0x1000ul, 0x2000, 0x3000], Place(f, (B, 0x1000), (B, 0x1000), (B, 0x1000)));
    }

    [Fact]
    public void Case054_lengths_are_aligned_to_their_power_of_two()
    {
        using IommufdFixture f = new();
        Assert.Equal(
            [0x1000ul, 0x2000, 0x4000, 0x8000, 0x10000, 0x18000, 0x20000, 0x28000, 0x30000, 0x40000],
            Place(f, [.. Enumerable.Range(1, 10).Select(n => (B, (ulong)n * 0x1000))]));
    }

    [Fact]
    public void Case054_huge_pages_bound_the_alignment()
    {
        using IommufdFixture f = new();
        Assert.Equal(
            [0x200000ul, 0x1000, 0x400000, 0x700000, 0x4000],
            Place(f, (B, 2 << 20), (B, 0x1000), (B, 3 << 20), (B + 0x1000, 2 << 20), (0, 0x3000)));
    }

    [Fact]
    public void Case054_offset_in_page_is_kept()
    {
        using IommufdFixture f = new();
        Assert.Equal([0x1800ul, 0x2800, 0x3810, 0x3830], Place(f, (B + 0x800, 0x1000), (B + 0x800, 0x1000), (B + 0x810, 0x20), (B + 0x810, 0x20)));
    }

    [Fact]
    public void Case054_single_bytes_are_placed()
    {
        using IommufdFixture f = new();
        Assert.Equal([0x1000ul, 0x1001, 0x1005], Place(f, (B, 1), (B, 1), (B + 5, 3)));
    }

    [Fact]
    public void Case054_one_byte_gap_is_not_used()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0x1000, 0x1000));
        Assert.Equal(Errno.None, f.Map(0x2001, 0xFFF));
        Assert.Equal([0x3000ul], Place(f, (B, 1)));
    }

    [Fact]
    public void Case054_freed_gap_is_used_again()
    {
        using IommufdFixture f = new();
        _ = Place(f, (B, 0x1000), (B, 0x1000), (B, 0x1000), (B, 0x1000));
        Assert.Equal(Errno.None, f.Unmap(0x2000, 0x1000, out _));
        Assert.Equal([0x6000ul, 0x2000], Place(f, (B, 0x2000), (B, 0x1000)));
    }

    [Fact]
    public void Case054_reserved_ranges_are_left_out()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Reserve(0x4000, 0x67fff));
        Assert.Equal(
            [0x1000ul, 0x2000, 0x68000, 0x6c000, 0x70000, 0x78000, 0x80000, 0x88000, 0x90000, 0xa0000],
            Place(f, [.. Enumerable.Range(1, 10).Select(n => (B, (ulong)n * 0x1000))]));
    }

    [Fact]
    public void Case054_allowed_ranges_bound_the_search()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0x10000, 0x4000)]));
        Assert.Equal([0x10000ul, 0x11000, 0x12000, 0x13000], Place(f, (B, 0x1000), (B, 0x1000), (B, 0x1000), (B, 0x1000)));
        Assert.Equal(Errno.ENOSPC, TryPlace(f, B, 0x1000, out _));
    }

    [Fact]
    public void Case054_adjacent_allowed_ranges_merge()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0x10000, 0x1000), Range(0x11000, 0x3000)]));
        Assert.Equal([0x10000ul], Place(f, (B, 0x4000)));
    }

    [Fact]
    public void Case054_first_page_is_never_chosen()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Ioas.SetAllowedRanges([Range(0, 0x2000)]));
        Assert.Equal([0x1000ul], Place(f, (B, 0x1000)));
        Assert.Equal(Errno.ENOSPC, TryPlace(f, B, 0x1000, out _));
    }

    [Fact]
    public void Case054_nothing_left_is_ENOSPC()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Reserve(6, 0xffffffffffff8006));
        Assert.Equal(Errno.ENOSPC, TryPlace(f, B, 0x5000, out _));
    }

    [Fact]
    public void Case054_enormous_lengths()
    {
        using IommufdFixture f = new();
        Assert.Equal(
            [0x200000ul, 0x4000000000200000, 0x8000000000200000],
            Place(f, (B, 1ul << 62), (B, 1ul << 62), (B, 1ul << 62)));
        Assert.Equal(Errno.ENOSPC, TryPlace(f, B, 1ul << 62, out _));
        Assert.Equal(Errno.EOVERFLOW, TryPlace(f, B, ulong.MaxValue / 2, out _));
    }

    private static ulong[] Place(IommufdFixture f, params (ulong Hint, ulong Length)[] requests)
        => [.. requests.Select(request =>
        {
            Assert.Equal(Errno.None, TryPlace(f, request.Hint, request.Length, out ulong iova));
            return iova;
        })];

    private static Errno TryPlace(IommufdFixture f, ulong hint, ulong length, out ulong iova)
    {
        MemorySource source = Memory(length);
        Errno error = f.Ioas.MapAnywhere(hint, length, source, 0, DmaAccess.ReadWrite, out iova);
        source.RemoveReference();
        return error;
    }
}
