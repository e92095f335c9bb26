using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>Dirty page tracking of a type1 container (spec vfio-core §8.6, §10.13).</summary>
public sealed class Type1DirtyTests
{
    private const ulong Page = Type1Rig.Page;
    private const uint Start = VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
    private const uint Stop = VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
    private const uint Get = VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

    [Fact]
    public async Task Case221_version_1_has_no_tracking()
    {
        await using Type1Rig rig = new(type: VfioUapi.VFIO_TYPE1_IOMMU);
        Assert.Equal(Errno.EACCES, Dirty(rig, Start));
        Assert.Equal(Errno.EACCES, Dirty(rig, 0xFF, 3));
        Assert.Equal(Errno.EACCES, rig.Iommu.StopDirtyTracking());
        Assert.Equal(Errno.EACCES, rig.GetDirty(0, Page, new ulong[1]));
    }

    [Fact]
    public async Task Case222_223_commands()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.EINVAL, Dirty(rig, 0));
        Assert.Equal(Errno.EINVAL, Dirty(rig, 3));
        Assert.Equal(Errno.EINVAL, Dirty(rig, 8));
        Assert.Equal(Errno.EINVAL, Dirty(rig, Start, 7));
        Assert.Equal(Errno.None, Dirty(rig, Stop));
        Assert.Equal(Errno.None, Dirty(rig, Start));
        Assert.Equal(Errno.None, Dirty(rig, Start));
        Assert.Equal(Errno.EINVAL, Dirty(rig, Get, 47));
        Assert.Equal(Errno.None, rig.GetDirty(0, Page, new ulong[1]));
        Assert.Equal(Errno.None, Dirty(rig, Stop));
        Assert.Equal(Errno.EINVAL, rig.GetDirty(0, Page, new ulong[1]));
    }

    [Fact]
    public async Task Case224_225_shape_of_the_bitmap_in_binary_form()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 65 * Page));
        Assert.Equal(Errno.None, Dirty(rig, Start));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 10 * Page, 2 * Page, 8));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 10 * Page, 0, 8));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 10 * Page, Page, 0));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 10 * Page, Page, 0x1000_0001));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 10 * Page, Page, 7));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 0, Page, 8));
        Assert.Equal(Errno.EOVERFLOW, GetRaw(0xFFFF_FFFF_FFFF_F000, 2 * Page, Page, 8));
        Assert.Equal(Errno.EINVAL, GetRaw(0x800, 65 * Page, Page, 16));
        Assert.Equal(Errno.EINVAL, GetRaw(0, 65 * Page, Page, 8));
        Assert.Equal(Errno.None, rig.Device.Dma.Write(64 * Page, [1]));
        Assert.Equal(Errno.None, GetRaw(0, 65 * Page, Page, 16));
        Assert.Equal(0ul, BinaryPrimitives.ReadUInt64LittleEndian(rig.User.Bytes.AsSpan(0x200)));
        Assert.Equal(1ul, BinaryPrimitives.ReadUInt64LittleEndian(rig.User.Bytes.AsSpan(0x208)));
        Assert.Equal(Errno.EFAULT, GetRaw(0, 65 * Page, Page, 16, 0xDEAD_0000));

        Errno GetRaw(ulong iova, ulong size, ulong unit, ulong bytes, ulong target = Type1Rig.Memory + 0x200)
        {
            Type1Rig.Bytes(48u, Get, iova, size, unit, bytes, target).CopyTo(rig.User.Bytes, 0);
            return rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_DIRTY_PAGES, new UserArgument(rig.User, Type1Rig.Memory)).Error;
        }
    }

    [Fact]
    public async Task Case226_pinned_pages_are_reported_until_one_report_after_the_unpin()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 8 * Page));
        Assert.Equal(1, rig.Pin(3 * Page).Value);
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(8ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(8ul, rig.Dirty(0, 8 * Page)[0]);
        rig.Unpin(3 * Page);
        Assert.Equal(8ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(0ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(1, rig.Pin(5 * Page).Value);
        rig.Unpin(5 * Page);
        Assert.Equal(0x20ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(0ul, rig.Dirty(0, 8 * Page)[0]);
    }

    [Fact]
    public async Task Case227_228_copies()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 8 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.None, rig.Device.Dma.Read(0, new byte[64]));
        Assert.Equal(0ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(Errno.None, rig.Device.Dma.Write((2 * Page) - 1, [1, 2]));
        Assert.Equal(6ul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(0ul, rig.Dirty(0, 8 * Page)[0]);
    }

    [Fact]
    public async Task Case229_230_hardware_that_does_not_tell_makes_everything_dirty()
    {
        await using Type1Rig rig = new(physical: true);
        Assert.Equal(Errno.None, rig.Map(0, 8 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(0xFFul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(0xFFul, rig.Dirty(0, 8 * Page)[0]);
        Assert.Equal(1, rig.Pin(2 * Page).Value);
        Assert.Equal(4ul, rig.Dirty(0, 8 * Page)[0]);
        rig.Unpin(2 * Page);
    }

    [Fact]
    public async Task Hardware_group_that_leaves_without_having_pinned_makes_everything_dirty_once()
    {
        await using Type1Rig rig = new();
        VfioGroupFile physical = rig.Fixture.OpenGroup(rig.Fixture.AddPhysical());
        Assert.Equal(Errno.None, physical.SetContainer(rig.Container));
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.None, physical.UnsetContainer());
        Assert.Equal(0xFul, rig.Dirty(0, 4 * Page)[0]);
        Assert.Equal(0ul, rig.Dirty(0, 4 * Page)[0]);
    }

    [Fact]
    public async Task Case231_232_mappings_share_words()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(5 * Page, 3 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.None, rig.Device.Dma.Write(5 * Page, new byte[3 * Page]));
        Assert.Equal(0xFFul, rig.Dirty(0, 8 * Page, 0x1F)[0]);
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.None, rig.Device.Dma.Write(0, new byte[4 * Page]));
        Assert.Equal(Errno.None, rig.Device.Dma.Write(5 * Page, new byte[3 * Page]));
        Assert.Equal(0xEFul, rig.Dirty(0, 8 * Page)[0]);
    }

    [Fact]
    public async Task Words_are_shifted_across_their_borders_and_untouched_ones_stay()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(60 * Page, 70 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.None, rig.Device.Dma.Write(60 * Page, [1]));
        Assert.Equal(Errno.None, rig.Device.Dma.Write((64 * Page) - 1, [1, 1]));
        Assert.Equal(Errno.None, rig.Device.Dma.Write(129 * Page, [1]));
        ulong[] words = rig.Dirty(0, 256 * Page, preset: 1ul << 63);
        Assert.Equal([(1ul << 60) | (1ul << 63), 1, 2, 1ul << 63, 1ul << 63], words);
    }

    [Fact]
    public async Task Case233_range_that_cuts_a_mapping()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.EINVAL, rig.GetDirty(0, 2 * Page, new ulong[1]));
        Assert.Equal(Errno.EINVAL, rig.GetDirty(Page, 3 * Page, new ulong[1]));
    }

    [Fact]
    public async Task Case234_235_236_unmap_with_a_report()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Type1Rig.Bytes(48u, VfioUapi.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 0ul, 4 * Page, Page, 8ul, Type1Rig.Memory + 0x200).CopyTo(rig.User.Bytes, 0x100);
        Assert.Equal(Errno.EINVAL, Unmap());
        Assert.Equal(1, rig.Iommu.MappingCount);
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.None, rig.Map(0x10_0000, 4 * Page));
        Assert.Equal(0ul, rig.Dirty(0x10_0000, 4 * Page)[0]);
        Assert.Equal(Errno.None, rig.Device.Dma.Write(Page, new byte[Page + 1]));
        Type1Rig.Bytes(48u, VfioUapi.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 0ul, 4 * Page, Page, 8ul, Type1Rig.Memory + 0x200).CopyTo(rig.User.Bytes, 0x100);
        Assert.Equal(Errno.None, Unmap());
        Assert.Equal(6, rig.User.Bytes[0x200]);
        Assert.Equal(4 * Page, BinaryPrimitives.ReadUInt64LittleEndian(rig.User.Bytes.AsSpan(0x110)));
        Assert.Equal(1, rig.Iommu.MappingCount);

        Errno Unmap() => rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, new UserArgument(rig.User, Type1Rig.Memory + 0x100)).Error;
    }

    [Fact]
    public async Task Bitmaps_that_would_be_too_large_leave_tracking_off()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Iommu.Map(Type1Rig.ReadWrite, rig.User, 0, 0, 1ul << 44));
        Assert.Equal(Errno.EINVAL, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.EINVAL, rig.GetDirty(1ul << 50, Page, new ulong[1]));
        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.All, 0, 0, out _));
        Assert.Equal(Errno.None, rig.Iommu.StartDirtyTracking());
        Assert.Equal(Errno.EINVAL, rig.Iommu.Map(Type1Rig.ReadWrite, rig.User, 0, 0, 1ul << 44));
        Assert.Equal(0, rig.Iommu.MappingCount);
        Assert.Equal(Errno.None, rig.Map(0, Page));
    }

    private static Errno Dirty(Type1Rig rig, uint flags, uint argsz = 8)
        => rig.Ioctl(VfioUapi.VFIO_IOMMU_DIRTY_PAGES, Type1Rig.Bytes(argsz, flags)).Error;
}
