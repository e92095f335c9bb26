using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>An iommufd in a container's place (spec iommufd §6, §8.10).</summary>
public sealed class ContainerCommandTests
{
    [Fact]
    public void Case188_version_2_unmaps_whole_maps()
    {
        using IommufdCaller c = Container(3);
        Assert.Equal(Errno.None, Map(c, 0, 2 * P));
        Assert.Equal((Errno.ENOENT, 0ul), Unmap(c, 0, P));
        Assert.Equal((Errno.None, 2 * P), Unmap(c, 0, 2 * P));
        Assert.Equal((Errno.None, 0ul), Unmap(c, 0, 2 * P));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Case189_version_1_unmaps_in_parts(bool shown)
    {
        using IommufdCaller c = Container(1);
        IommufdDevice? device = shown ? c.Attach(1) : null;
        ulong at = shown ? Base : 0;
        Assert.Equal(Errno.None, Map(c, at, 4 * P));
        Assert.Equal((Errno.None, P), Unmap(c, at, P));
        Assert.Equal((Errno.None, P), Unmap(c, at + (2 * P), P));
        Assert.Equal(2, c.Ioas(1).AreaCount);
        Assert.Equal(shown ? [0, 1, 0, 1] : [0, 0, 0, 0], c.Memory.Pins.Take(4));
        if (shown)
        {
            c.Memory.Buffer[(3 * (int)P) + 2] = 5;
            byte[] read = new byte[1];
            Assert.Equal(Errno.None, device!.Read(at + (3 * P) + 2, read));
            Assert.Equal(5, read[0]);
            Assert.Equal(Errno.EFAULT, device.Read(at + (2 * P), read));
        }

        Assert.Equal((Errno.None, 2 * P), Unmap(c, at, 4 * P));
    }

    [Fact]
    public void Parts_of_a_pinned_map_are_not_cut()
    {
        using IommufdCaller c = Container(1);
        Assert.Equal(Errno.None, Map(c, 0, 4 * P));
        Assert.Equal(Errno.None, c.Context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(1));
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out DmaPin? pin));
        Assert.Equal(Errno.EINVAL, Unmap(c, 0, P).Error);
        pin!.Dispose();
        Assert.Equal((Errno.None, P), Unmap(c, 0, P));
        Assert.Equal(Errno.None, access.Read(P, new byte[8]));
        Assert.Equal(Errno.ENOENT, access.Read(0, new byte[8]));
        access.Destroy();
    }

    [Fact]
    public void Case190_191_container_commands_are_checked_in_order()
    {
        using IommufdCaller c = Container(3);
        Assert.Equal(Errno.EINVAL, Unmap(c, 1, 0, VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL).Error);
        Assert.Equal(Errno.EINVAL, Unmap(c, 0, P, 1).Error);
        Assert.Equal(Errno.EINVAL, Map(c, 0, P, 4));
        using IommufdCaller fresh = new();
        Assert.Equal(Errno.EINVAL, Map(fresh, 0, P, argsz: 31));
        Assert.Equal(Errno.ENODEV, Map(fresh, 0, P));
        Assert.Equal(Errno.EINVAL, Unmap(fresh, 0, P, argsz: 23).Error);
        Assert.Equal(Errno.ENODEV, Unmap(fresh, 0, P).Error);
        Assert.Equal(Errno.EINVAL, Info(fresh, 15, out _));
        Assert.Equal(Errno.ENODEV, Info(fresh, 24, out _));
        Assert.Equal(Errno.ENOTTY, fresh.CallRaw(0x3B75, 32));
    }

    [Fact]
    public void Case192_information_is_told_as_far_as_there_is_room()
    {
        using IommufdCaller c = Container(3);
        Assert.Equal(Errno.None, Info(c, 24, out vfio_iommu_type1_info info));
        Assert.Equal((72u, 0u, 3u), (info.argsz, info.cap_offset, info.flags));
        Assert.Equal(0xEE, c.Memory.Bytes[24]);
        Assert.Equal(Errno.None, Info(c, 72, out info));
        Assert.Equal((72u, 24u), (info.argsz, info.cap_offset));
        vfio_info_cap_header first = MemoryMarshal.Read<vfio_info_cap_header>(c.Memory.Bytes.AsSpan(24));
        vfio_info_cap_header second = MemoryMarshal.Read<vfio_info_cap_header>(c.Memory.Bytes.AsSpan(40));
        Assert.Equal(((ushort)3, 40u, (ushort)1, 0u), (first.id, first.next, second.id, second.next));
        Assert.Equal(uint.MaxValue, BitConverter.ToUInt32(c.Memory.Bytes, 32));
        Assert.Equal((1u, 0ul, Max), (BitConverter.ToUInt32(c.Memory.Bytes, 48), BitConverter.ToUInt64(c.Memory.Bytes, 56), BitConverter.ToUInt64(c.Memory.Bytes, 64)));
        Assert.Equal(~(P - 1), info.iova_pgsizes);
        _ = c.Attach(1);
        Assert.Equal(Errno.None, Info(c, 72, out info));
        Assert.Equal(~(P - 1), info.iova_pgsizes); // 2048 counts as a page.
        Assert.Equal((Base, Last), (BitConverter.ToUInt64(c.Memory.Bytes, 56), BitConverter.ToUInt64(c.Memory.Bytes, 64)));
        for (uint room = 16; room < 80; room++)
        {
            Assert.Equal(Errno.None, Info(c, room, out _));
            Assert.All(c.Memory.Bytes[(int)Math.Min(room, 72)..128], static value => Assert.Equal(0xEE, value));
        }
    }

    [Fact]
    public void Case193_extensions()
    {
        using IommufdCaller c = new();
        Assert.Equal(IoResult.Success(), Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 10));
        Assert.Equal(Errno.ENODEV, Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 4).Error);
        Assert.Equal(1, Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 3).Value);
        Assert.Equal(0, Value(c, VfioUapi.VFIO_GET_API_VERSION, 0).Value);
        Assert.Equal(Errno.None, c.Context.EnsureCompatIoas());
        Assert.Equal(1, Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 4).Value);
        _ = c.Attach(1, new MockIommu { EnforcesCoherency = false });
        Assert.Equal(0, Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 4).Value);
    }

    [Fact]
    public void Case194_the_type_decides_about_large_pages()
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.None, c.Context.EnsureCompatIoas());
        _ = c.Attach(1);
        Assert.Equal(Errno.None, Map(c, Base, P));
        Assert.Equal(Errno.EINVAL, Value(c, VfioUapi.VFIO_SET_IOMMU, 1).Error);
        Assert.Equal(Errno.None, Value(c, VfioUapi.VFIO_SET_IOMMU, 3).Error);
        Assert.Equal(Errno.EINVAL, Value(c, VfioUapi.VFIO_SET_IOMMU, 2).Error);
    }

    [Fact]
    public void Without_an_iommu_there_is_one_type_for_the_privileged()
    {
        using IommufdCaller c = new();
        Assert.Equal(Errno.None, c.Context.SetNoIommu());
        Assert.Equal(0, Value(c, VfioUapi.VFIO_CHECK_EXTENSION, 3).Value);
        Assert.Equal(Errno.EINVAL, Value(c, VfioUapi.VFIO_SET_IOMMU, 3).Error);
        Assert.Equal(Errno.None, Value(c, VfioUapi.VFIO_SET_IOMMU, 8).Error);
        c.Identity = new Vfio.Iommu.IommufdCaller(CallerCapabilities.None);
        Assert.Equal(Errno.EPERM, Value(c, VfioUapi.VFIO_SET_IOMMU, 8).Error);
    }

    private static IommufdCaller Container(ulong type)
    {
        IommufdCaller c = new();
        Assert.Equal(Errno.None, c.Context.EnsureCompatIoas());
        Assert.Equal(Errno.None, Value(c, VfioUapi.VFIO_SET_IOMMU, type).Error);
        return c;
    }

    private static IoResult Value(IommufdCaller c, uint command, ulong value) => c.Context.Ioctl(command, new UserArgument(c.Memory, value));

    private static Errno Map(IommufdCaller c, ulong iova, ulong size, uint flags = 3, int argsz = 32)
    {
        vfio_iommu_type1_dma_map map = new() { flags = flags, vaddr = B, iova = iova, size = size };
        return c.Call(VfioUapi.VFIO_IOMMU_MAP_DMA, ref map, argsz);
    }

    private static (Errno Error, ulong Size) Unmap(IommufdCaller c, ulong iova, ulong size, uint flags = 0, int argsz = 24)
    {
        vfio_iommu_type1_dma_unmap unmap = new() { flags = flags, iova = iova, size = size };
        Errno error = c.Call(VfioUapi.VFIO_IOMMU_UNMAP_DMA, ref unmap, argsz);
        return (error, unmap.size);
    }

    private static Errno Info(IommufdCaller c, uint room, out vfio_iommu_type1_info info)
    {
        c.Memory.Bytes.AsSpan(0, 128).Fill(0xEE);
        BitConverter.TryWriteBytes(c.Memory.Bytes, room);
        Errno error = c.Context.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO, new UserArgument(c.Memory, TestUserMemory.Base)).Error;
        info = MemoryMarshal.Read<vfio_iommu_type1_info>(c.Memory.Bytes);
        return error;
    }
}
