using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Mapping into a type1 container (spec vfio-core §8, §10.4, §10.12).</summary>
public sealed class Type1MappingTests
{
    private const ulong Page = Type1Rig.Page;

    [Fact]
    public async Task Case031_053_mappings_live_until_the_group_leaves()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, Page));
        rig.Container.Dispose();
        rig.User.Bytes[5] = 99;
        byte[] buffer = new byte[1];
        Assert.Equal(1, rig.Pin(0).Value);
        Assert.Equal(Errno.None, rig.Device.Dma.Read(5, buffer));
        Assert.Equal(99, buffer[0]);
        rig.Unpin(0);
        rig.File.Dispose();
        Assert.Equal(1, rig.Iommu.MappingCount);
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Iommu.MappingCount);
        Assert.Equal(Errno.EINVAL, rig.Iommu.Map(Type1Rig.ReadWrite, rig.User, Type1Rig.Memory, 0, Page));
        Assert.Equal(Errno.EINVAL, rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new UserArgument(new byte[32])).Error);
    }

    [Fact]
    public async Task Case055_056_057_065_extensions_and_unknown_commands()
    {
        await using CoreFixture f = new();
        VfioContainer container = f.OpenContainer();
        Assert.All([1u, 3u, 9u], extension => Assert.Equal(1, container.CheckExtension(extension)));
        Assert.All([2u, 4u, 6u, 8u, 10u, 1000u], extension => Assert.Equal(0, container.CheckExtension(extension)));
        Assert.Equal(Errno.None, f.OpenGroup(f.AddPhysical()).SetContainer(container));
        Assert.Equal(Errno.ENODEV, container.SetIommu(6));
        Assert.Equal(Errno.ENODEV, container.SetIommu(8));
        Assert.Equal(Errno.None, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        Assert.Equal(1, container.CheckExtension(4));
        Assert.Equal(1, container.CheckExtension(10));
        Assert.Equal(Errno.None, f.OpenGroup(f.Add()).SetContainer(container));
        Assert.Equal(0, container.CheckExtension(10));
        Assert.Equal(Errno.ENOTTY, container.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE, default).Error);

        await using Type1Rig emulated = new();
        Assert.Equal(1, emulated.Container.CheckExtension(4));
        await using Type1Rig loose = new(physical: true, hardware: new SimulatedIommu { EnforcesCoherency = false });
        Assert.Equal(0, loose.Container.CheckExtension(4));
    }

    [Fact]
    public async Task Case194_195_bad_maps()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.EINVAL, MapRaw(31, 3, Page, 0, Page));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 0, Page, 0, Page));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 8, Page, 0, Page));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 3, Page, 0, 0));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 3, Page, 0x800, Page));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 3, Page + 0x800, 0, Page));
        Assert.Equal(Errno.EINVAL, MapRaw(32, 3, Page, 0, Page + 0x800));
        Assert.Equal(Errno.EFAULT, rig.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, new byte[31]).Error);
        Assert.Equal(Errno.None, MapRaw(32, 3, Page, 0, Page));
        Assert.Equal(1, rig.Iommu.MappingCount);

        Errno MapRaw(uint argsz, uint flags, ulong address, ulong iova, ulong size)
            => rig.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, Type1Rig.Bytes(argsz, flags, address, iova, size)).Error;
    }

    [Fact]
    public async Task Case196_end_of_the_address_space()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0xFFFF_FFFF_FFFF_F000, Page));
        Assert.Equal(Errno.EOVERFLOW, rig.Map(0xFFFF_FFFF_FFFF_F000, 2 * Page));
        Assert.Equal(Errno.None, rig.Device.Dma.Read(0xFFFF_FFFF_FFFF_FFFC, new byte[4]));
        Assert.Equal(Errno.EINVAL, rig.Device.Dma.Read(0xFFFF_FFFF_FFFF_FFFC, new byte[5]));
        Assert.Equal(Errno.None, rig.Unmap(0xFFFF_FFFF_FFFF_F000, Page, out ulong unmapped));
        Assert.Equal(Page, unmapped);
    }

    [Fact]
    public async Task Case197_overlaps()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(Page, 2 * Page));
        Assert.Equal(Errno.EEXIST, rig.Map(2 * Page, 2 * Page));
        Assert.Equal(Errno.EEXIST, rig.Map(Page, 2 * Page));
        Assert.Equal(Errno.None, rig.Map(3 * Page, Page));
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(3, rig.Iommu.MappingCount);
    }

    [Fact]
    public async Task Case198_200_budget()
    {
        await using Type1Rig rig = new(options: static options => options with { DmaEntryLimit = 2 });
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.None, rig.Map(Page, Page));
        Assert.Equal(Errno.ENOSPC, rig.Map(2 * Page, Page));
        Assert.Equal(Errno.EEXIST, rig.Map(Page, Page));
        Assert.Equal(Errno.None, rig.Unmap(0, Page, out _));
        Assert.Equal(1, rig.Iommu.GetInfo().AvailableMappings);
        Assert.Equal(Errno.None, rig.Map(2 * Page, Page));
        Assert.Equal(0, rig.Iommu.GetInfo().AvailableMappings);
    }

    [Fact]
    public async Task Case199_215_valid_ranges()
    {
        await using Type1Rig rig = new(physical: true, hardware: new SimulatedIommu
        {
            ReservedRegions = [Region(0xFEE0_0000, 0xFEEF_FFFF), Region(0x1000, 0x1FFF, relaxable: true)],
        });
        Assert.Equal(Errno.EINVAL, rig.Map(0xFEDF_F000, 2 * Page));
        Assert.Equal(Errno.EINVAL, rig.Map(0xFEE0_0000, Page));
        Assert.Equal(Errno.None, rig.Map(0xFEDF_F000, Page));
        Assert.Equal(Errno.None, rig.Map(0x1000, Page));
        Assert.Equal(2, rig.Iommu.GetInfo().UsableRanges.Count);

        await using Type1Rig one = new(physical: true);
        byte[] info = Info(one, 104, out uint argsz);
        Assert.Equal(104u, argsz);
        Assert.Equal([(2, 24), (3, 56), (1, 72)], Chain(info));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(80)));
        Assert.Equal(ulong.MaxValue, BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(96)));
        Assert.Equal(0x4020_1000ul, BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(8)));
    }

    [Fact]
    public async Task Case201_202_203_204_unmaps_of_version_2()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.EINVAL, rig.Unmap(Page, Page, out _));
        Assert.Equal(Errno.EINVAL, rig.Unmap(0, 2 * Page, out _));
        Assert.Equal(Errno.EINVAL, rig.Unmap(2 * Page, 4 * Page, out _));
        Assert.Equal(1, rig.Iommu.MappingCount);
        Assert.Equal(Errno.None, rig.Unmap(0, 4 * Page, out _));
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.None, rig.Map(3 * Page, Page));
        Assert.Equal(Errno.None, rig.Unmap(0, 4 * Page, out ulong unmapped));
        Assert.Equal(2 * Page, unmapped);
        Assert.Equal(Errno.None, rig.Unmap(0, Page, out unmapped));
        Assert.Equal(0ul, unmapped);
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.None, rig.Map(0x10_0000, 2 * Page));
        Assert.Equal(Errno.EINVAL, rig.Iommu.Unmap(Type1UnmapFlags.All, 0, Page, out _));
        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.All, 0, 0, out unmapped));
        Assert.Equal(3 * Page, unmapped);
        Assert.Equal(0, rig.Iommu.MappingCount);
    }

    [Fact]
    public async Task Case205_bad_unmaps()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.EINVAL, Unmap(24, 0, 0, 0));
        Assert.Equal(Errno.EINVAL, Unmap(24, 0, 0x800, Page));
        Assert.Equal(Errno.EINVAL, Unmap(24, 0, 0, 0x800));
        Assert.Equal(Errno.EOVERFLOW, Unmap(24, 0, 0xFFFF_FFFF_FFFF_F000, 2 * Page));
        Assert.Equal(Errno.EINVAL, Unmap(24, 8, 0, Page));
        Assert.Equal(Errno.EINVAL, Unmap(48, 3, 0, 0));
        Assert.Equal(Errno.EINVAL, Unmap(48, 5, 0, Page));
        Assert.Equal(Errno.EINVAL, Unmap(23, 0, 0, Page));
        Assert.Equal(Errno.None, rig.Map(0, Page));
        byte[] argument = Type1Rig.Bytes(24u, 0u, 0ul, 4 * Page);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, argument).Error);
        Assert.Equal(Page, BinaryPrimitives.ReadUInt64LittleEndian(argument.AsSpan(16)));

        Errno Unmap(uint argsz, uint flags, ulong iova, ulong size)
            => rig.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, [.. Type1Rig.Bytes(argsz, flags, iova, size), .. new byte[24]]).Error;
    }

    [Fact]
    public async Task Case206_207_208_unmaps_of_version_1()
    {
        await using Type1Rig rig = new(type: VfioUapi.VFIO_TYPE1_IOMMU);
        Assert.Equal(Errno.None, rig.Map(0x10000, 0x4000));
        Assert.Equal(Errno.None, rig.Unmap(0x11000, 0x1000, out ulong unmapped));
        Assert.Equal(0ul, unmapped);
        Assert.Equal(Errno.None, rig.Unmap(0x10000, 0x1000, out unmapped));
        Assert.Equal(0x4000ul, unmapped);
        Assert.Equal(Errno.None, rig.Map(0x10000, 0x4000));
        Assert.Equal(Errno.None, rig.Unmap(0xE000, 0x3000, out unmapped));
        Assert.Equal(0x4000ul, unmapped);
        Assert.Equal(Errno.None, rig.Map(0, 0x2000));
        Assert.Equal(Errno.None, rig.Map(0x2000, 0x1000));
        Assert.Equal(Errno.None, rig.Unmap(0x1000, 0x2000, out unmapped));
        Assert.Equal(0ul, unmapped);
        Assert.Equal(2, rig.Iommu.MappingCount);
    }

    [Fact]
    public async Task Case209_210_212_addresses_taken_away()
    {
        await using Type1Rig rig = new(physical: true);
        Assert.Equal(Errno.None, rig.Map(0, 2 * Page));
        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.InvalidateAddress, 0, 2 * Page, out ulong size));
        Assert.Equal(2 * Page, size);
        Assert.Equal(Errno.EBUSY, rig.Pin(0).Error);
        Assert.Equal(Errno.EBUSY, rig.Iommu.Read(0, new byte[1]));
        Assert.Equal(Errno.None, rig.Device.Dma.Read(0, new byte[1]));
        Assert.Equal(Errno.EBUSY, rig.Fixture.OpenGroup(rig.Fixture.AddPhysical("second")).SetContainer(rig.Container));
        Assert.Equal(Errno.None, rig.Map(4 * Page, Page));
        Assert.Equal(Errno.EINVAL, Update(Type1MapFlags.UpdateAddress | Type1MapFlags.Read, 0, 2 * Page));
        Assert.Equal(Errno.ENOENT, Update(Type1MapFlags.UpdateAddress, 8 * Page, 2 * Page));
        Assert.Equal(Errno.EINVAL, Update(Type1MapFlags.UpdateAddress, Page, 2 * Page));
        Assert.Equal(Errno.EINVAL, Update(Type1MapFlags.UpdateAddress, 0, Page));
        Assert.Equal(Errno.EINVAL, Update(Type1MapFlags.UpdateAddress, 4 * Page, Page));
        rig.User.Bytes[8 * Page] = 7;
        Assert.Equal(Errno.None, Update(Type1MapFlags.UpdateAddress, 0, 2 * Page));
        byte[] buffer = new byte[1];
        Assert.Equal(Errno.None, rig.Device.Dma.Read(0, buffer));
        Assert.Equal(7, buffer[0]);

        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.InvalidateAddress, 0, 2 * Page, out _));
        Assert.Equal(Errno.None, rig.Unmap(0, 2 * Page, out size));
        Assert.Equal(2 * Page, size);
        Assert.Equal(Errno.None, rig.Device.Dma.Read(4 * Page, buffer));

        Errno Update(Type1MapFlags flags, ulong iova, ulong length) => rig.Iommu.Map(flags, rig.User, Type1Rig.Memory + (8 * Page), iova, length);
    }

    [Fact]
    public async Task Case211_213_taking_addresses_away_fails_as_a_whole()
    {
        await using Type1Rig rig = new(physical: true);
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.None, rig.Map(Page, Page));
        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.InvalidateAddress, Page, Page, out _));
        Assert.Equal(Errno.EINVAL, rig.Iommu.Unmap(Type1UnmapFlags.InvalidateAddress, 0, 2 * Page, out _));
        Assert.Equal(Errno.EINVAL, rig.Iommu.Map(Type1MapFlags.UpdateAddress, rig.User, Type1Rig.Memory, 0, Page));
        Assert.Equal(Errno.None, rig.Iommu.Map(Type1MapFlags.UpdateAddress, rig.User, Type1Rig.Memory, Page, Page));
        Assert.Equal(Errno.None, rig.Fixture.OpenGroup(rig.Fixture.Add("emulated")).SetContainer(rig.Container));
        Assert.Equal(Errno.EBUSY, rig.Iommu.Unmap(Type1UnmapFlags.InvalidateAddress, 0, Page, out _));
    }

    [Fact]
    public async Task Case214_info_of_an_emulated_container()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO, Type1Rig.Bytes(15u, 0u, 0ul, 0ul)).Error);
        byte[] info = Info(rig, 16, out uint argsz);
        Assert.Equal(72u, argsz);
        Assert.Equal(0xFFFF_FFFF_FFFF_F000, BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(8)));
        Assert.Equal(0xAA, info[16]);
        info = Info(rig, 24, out argsz);
        Assert.Equal(72u, argsz);
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(16)));
        info = Info(rig, 72, out argsz);
        Assert.Equal(72u, argsz);
        Assert.Equal(3, info[4]);
        Assert.Equal([(2, 24), (3, 56)], Chain(info));
        Assert.Equal(Page, BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(40)));
        Assert.Equal(268_435_456ul, BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(48)));
        Assert.Equal(65_535u, BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(64)));
    }

    [Fact]
    public async Task Case045_216_group_whose_hardware_does_not_suit_the_mappings()
    {
        await using Type1Rig rig = new(physical: true);
        Assert.Equal(Errno.None, rig.Map(0x8000, 0x4000));
        Assert.Equal(Errno.EINVAL, Join("reserves", new SimulatedIommu { ReservedRegions = [Region(0x9000, 0x9FFF)] }));
        Assert.Equal(Errno.EINVAL, Join("narrow", new SimulatedIommu { Aperture = Region(0, 0x9FFF).Range }));
        Assert.Equal(Errno.EBUSY, Join("fails", new SimulatedIommu { AttachResult = Errno.EBUSY }));
        Assert.Equal(Errno.None, Join("wide", new SimulatedIommu { Aperture = Region(0, 0xFFFFF).Range }));
        Assert.Equal([Region(0, 0xFFFFF).Range], rig.Iommu.GetInfo().UsableRanges);
        Assert.Equal(1, rig.Pin(0x8000).Value);

        Errno Join(string name, SimulatedIommu hardware)
        {
            RecordingDevice device = rig.Fixture.AddPhysical(name, hardware: hardware);
            Errno error = rig.Fixture.OpenGroup(device).SetContainer(rig.Container);
            Assert.Equal(error == Errno.None, device.Group!.IommuGroup.IsDmaOwned);
            return error;
        }
    }

    [Theory]
    [InlineData(false, Errno.EPERM)]
    [InlineData(true, Errno.None)]
    public async Task Case217_interrupts_that_are_not_isolated(bool allowed, Errno expected)
    {
        await using CoreFixture f = new(options: options => options with { AllowUnsafeInterrupts = allowed });
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, f.OpenGroup(f.AddPhysical(hardware: new SimulatedIommu { HasIsolatedMsi = false })).SetContainer(container));
        Assert.Equal(expected, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
    }

    [Fact]
    public async Task Case218_mapping_of_a_bad_address_keeps_hardware_out()
    {
        await using Type1Rig rig = new();
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.None, rig.Iommu.Map(Type1Rig.ReadWrite, rig.User, 0xDEAD_0000, 0x10_0000, Page));
        VfioGroupFile physical = rig.Fixture.OpenGroup(rig.Fixture.AddPhysical());
        Assert.Equal(Errno.EFAULT, physical.SetContainer(rig.Container));
        Assert.Equal(0, rig.Fixture.Host.Options.LockedMemory.Pages);
        Assert.False(physical.Group.IommuGroup.IsDmaOwned);
        Assert.Empty(rig.Iommu.GetInfo().UsableRanges);
        Assert.Equal(Errno.None, rig.Unmap(0x10_0000, Page, out _));
        Assert.Equal(Errno.None, physical.SetContainer(rig.Container));
        Assert.Equal(1, rig.Fixture.Host.Options.LockedMemory.Pages);
    }

    [Fact]
    public async Task Case219_mappings_and_pins_survive_the_hardware()
    {
        await using Type1Rig rig = new();
        VfioGroupFile physical = rig.Fixture.OpenGroup(rig.Fixture.AddPhysical());
        Assert.Equal(Errno.None, physical.SetContainer(rig.Container));
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(1, rig.Pin(0).Value);
        Assert.Equal(4, rig.Fixture.Host.Options.LockedMemory.Pages);
        Assert.Equal(Errno.None, physical.UnsetContainer());
        Assert.Equal(1, rig.Iommu.MappingCount);
        Assert.Equal(1, rig.Fixture.Host.Options.LockedMemory.Pages);
        rig.Unpin(0);
        Assert.Equal(0, rig.Fixture.Host.Options.LockedMemory.Pages);
        rig.File.Dispose();
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Iommu.MappingCount);
    }

    [Fact]
    public async Task Case220_locked_memory_limit()
    {
        await using Type1Rig rig = new(physical: true, options: static options => options with { LockedMemory = new LockedMemoryAccount(4) });
        LockedMemoryAccount account = rig.Fixture.Host.Options.LockedMemory;
        Assert.Equal(Errno.ENOMEM, rig.Map(0, 5 * Page));
        Assert.Equal(0, rig.Iommu.MappingCount);
        Assert.Equal(0, account.Pages);
        Assert.Equal(Errno.EFAULT, rig.Iommu.Map(Type1Rig.ReadWrite, rig.User, 0xDEAD_0000, 0, Page));
        Assert.Equal(0, account.Pages);
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(4, account.Pages);
        rig.Fixture.Capabilities = CallerCapabilities.IpcLock;
        Assert.Equal(Errno.None, rig.Map(0x10_0000, 5 * Page));
        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.All, 0, 0, out _));
        Assert.Equal(0, account.Pages);
    }

    private static ReservedRegion Region(ulong start, ulong last, bool relaxable = false)
    {
        Assert.True(IovaRange.TryCreateInclusive(start, last, out IovaRange range));
        return new ReservedRegion(range, relaxable);
    }

    private static byte[] Info(Type1Rig rig, uint size, out uint argsz)
    {
        byte[] info = new byte[256];
        info.AsSpan().Fill(0xAA);
        BinaryPrimitives.WriteUInt32LittleEndian(info, size);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO, info).Error);
        argsz = BinaryPrimitives.ReadUInt32LittleEndian(info);
        return info;
    }

    private static List<(int Id, int Offset)> Chain(byte[] info)
    {
        List<(int, int)> chain = [];
        for (int at = (int)BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(16)); at != 0; at = (int)BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(at + 4)))
        {
            chain.Add((BinaryPrimitives.ReadUInt16LittleEndian(info.AsSpan(at)), at));
        }

        return chain;
    }
}
