using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Containers of a pSeries platform (spec vfio-core §11).</summary>
public sealed class SpaprTests
{
    private const ulong Page = SpaprRig.Page;
    private const ulong Memory = SpaprRig.Memory;

    /// <summary>The flow of version 1 in the kernel's vfio.rst: enable, look, map, and recover from an error.</summary>
    [Fact]
    public async Task Version_1_enables_maps_and_recovers_from_an_error()
    {
        await using SpaprRig rig = new(version2: false);
        Assert.Equal(1, rig.Container.CheckExtension(VfioUapi.VFIO_EEH));
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, 16u, 0u, 0u, 0u).Error);
        Assert.Equal((0u, 0u, 1u << 30), (BitConverter.ToUInt32(rig.Reply[4..]), BitConverter.ToUInt32(rig.Reply[8..]), BitConverter.ToUInt32(rig.Reply[12..])));
        Assert.Equal(Errno.None, rig.Map(0, 16 * Page));
        Assert.Equal(5 * Page, rig.At(5 * Page));

        VfioDeviceFile file = rig.Fixture.OpenDevice(rig.Group, rig.Device.Name);
        Assert.Equal(0, rig.Endpoint(VfioUapi.VFIO_EEH_PE_ENABLE).Value);
        Assert.Equal((long)SpaprEndpointState.Normal, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);

        // The device reads ones, so the user asks what happened.
        List<SpaprEndpointOperation> seen = [];
        rig.Tables.Endpoint!.Changed += seen.Add;
        rig.Tables.Endpoint.Freeze();
        Assert.Equal((long)SpaprEndpointState.Stopped, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);
        Assert.Null(rig.At(5 * Page));
        Assert.Equal(0, rig.Endpoint(VfioUapi.VFIO_EEH_PE_UNFREEZE_IO).Value);
        Assert.True(rig.Tables.Endpoint is { IsIoEnabled: true, IsDmaEnabled: false });
        Assert.Equal((long)SpaprEndpointState.StoppedDma, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);
        Assert.Equal(0, rig.Endpoint(VfioUapi.VFIO_EEH_PE_RESET_HOT).Value);
        Assert.Equal((long)SpaprEndpointState.Reset, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);
        Assert.Equal(0, rig.Endpoint(VfioUapi.VFIO_EEH_PE_RESET_DEACTIVATE).Value);
        Assert.Equal(0, rig.Endpoint(VfioUapi.VFIO_EEH_PE_CONFIGURE).Value);
        Assert.Equal((long)SpaprEndpointState.Normal, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);
        Assert.Equal(5 * Page, rig.At(5 * Page));
        Assert.Equal(
            [
                SpaprEndpointOperation.InjectError, SpaprEndpointOperation.UnfreezeIo, SpaprEndpointOperation.ResetHot,
                SpaprEndpointOperation.ResetDeactivate, SpaprEndpointOperation.Configure,
            ],
            seen);

        Assert.Equal(Errno.None, rig.Unmap(0, 16 * Page));
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_DISABLE).Error);
        file.Dispose();
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Charged);
        Assert.All(rig.Tables.Windows, Assert.Null);
    }

    /// <summary>The flow of version 2 in the kernel's vfio.rst: register memory, make a window, map, and take it all down.</summary>
    [Fact]
    public async Task Version_2_registers_memory_and_makes_a_window()
    {
        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.None, rig.Register(Memory, 16 * Page));
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, 32u, 0u, 0u, 0u, 0ul, 0u, 0u).Error);
        Assert.Equal(VfioUapi.VFIO_IOMMU_SPAPR_INFO_DDW, BitConverter.ToUInt32(rig.Reply[4..]));
        Assert.Equal((0x101_1000ul, 2u, 5u), (BitConverter.ToUInt64(rig.Reply[16..]), BitConverter.ToUInt32(rig.Reply[24..]), BitConverter.ToUInt32(rig.Reply[28..])));
        Assert.Equal(Errno.None, rig.Create(16, 1ul << 30, 1, out ulong start));
        Assert.Equal(1ul << 59, start);
        Assert.Equal(Errno.None, rig.Map(start, 0x1_0000));
        Assert.Equal(0x8000ul, rig.At(start + 0x8000));
        Assert.Equal(Errno.EBUSY, rig.Unregister(Memory, 16 * Page));
        Assert.Equal(Errno.None, rig.Unmap(start, 0x1_0000));
        Assert.Null(rig.At(start));
        Assert.Equal(Errno.None, rig.Remove(start));
        Assert.Equal(Errno.ENXIO, rig.Map(start, 0x1_0000));
        Assert.Equal(Errno.None, rig.Unregister(Memory, 16 * Page));
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Charged);
    }

    [Fact]
    public async Task Extensions_are_the_platforms()
    {
        await using CoreFixture f = new();
        f.Host.RegisterIommuDriver(new SpaprDriver(f.Host, handlesErrors: false));
        VfioContainer container = f.OpenContainer();
        Assert.Equal((1, 1, 0), (container.CheckExtension(2), container.CheckExtension(7), container.CheckExtension(5)));
        await using SpaprRig rig = new(version2: true);
        Assert.Equal((1, 1, 1, 0), (rig.Container.CheckExtension(2), rig.Container.CheckExtension(7), rig.Container.CheckExtension(5), rig.Container.CheckExtension(1)));
    }

    [Fact]
    public async Task Groups_that_do_not_suit_are_refused()
    {
        await using SpaprRig one = new(version2: false);
        Assert.Equal(Errno.EBUSY, Join(one, "second", new SimulatedSpaprTableGroup()));

        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.EINVAL, rig.Fixture.OpenGroup(rig.Fixture.Add("emulated")).SetContainer(rig.Container));
        Assert.Equal(Errno.ENODEV, Join(rig, "no tables", new SimulatedIommu()));
        Assert.Equal(Errno.EPERM, Join(rig, "other kind", new SimulatedSpaprTableGroup { Kind = "ioda1" }));
        Assert.Equal(Errno.EINVAL, Join(rig, "fixed windows", new SimulatedSpaprTableGroup { MaximumWindows = 0 }));
        Assert.Equal(Errno.None, rig.Create(12, 1ul << 30, 1, out _));
        SimulatedSpaprTableGroup failing = new() { SetWindowResult = Errno.EIO };
        Assert.Equal(Errno.EIO, Join(rig, "failing", failing));
        Assert.All(failing.Windows, Assert.Null);
        SimulatedSpaprTableGroup joined = new();
        Assert.Equal(Errno.None, Join(rig, "joined", joined));
        Assert.Equal(rig.Tables.Windows, joined.Windows);
        Assert.Equal(2, joined.Windows.Count(static window => window is not null));

        static Errno Join(SpaprRig rig, string name, IIommuHardware hardware)
            => rig.Fixture.OpenGroup(rig.Fixture.AddPhysical(name, hardware: hardware)).SetContainer(rig.Container);
    }

    [Fact]
    public async Task Type1_does_not_take_a_group_of_tables()
    {
        await using CoreFixture f = new();
        VfioContainer container = f.OpenContainer();
        Assert.Equal(Errno.None, f.OpenGroup(f.AddPhysical(hardware: new SimulatedSpaprTableGroup())).SetContainer(container));
        Assert.Equal(Errno.ENODEV, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
    }

    [Fact]
    public async Task Commands_of_the_other_version_are_ENOTTY()
    {
        await using SpaprRig one = new(version2: false);
        Assert.Equal(Errno.ENOTTY, one.Register(Memory, Page));
        Assert.Equal(Errno.ENOTTY, one.Unregister(Memory, Page));
        Assert.Equal(Errno.ENOTTY, one.Create(12, Page, 1, out _));
        Assert.Equal(Errno.ENOTTY, one.Remove(0));
        await using SpaprRig two = new(version2: true);
        Assert.Equal(Errno.ENOTTY, two.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.ENOTTY, two.Ioctl(VfioUapi.VFIO_IOMMU_DISABLE).Error);
        Assert.Equal(Errno.ENOTTY, two.Ioctl(0x1234).Error);
    }

    [Fact]
    public async Task Enable_is_once_and_charges_the_whole_window()
    {
        await using SpaprRig rig = new(version2: false, new SimulatedSpaprTableGroup { DefaultWindowSize = 16 * 4096 }, static options => options with { LockedMemory = new LockedMemoryAccount(17) });
        Assert.Equal(Errno.EPERM, rig.Map(0, Page));
        Assert.Equal(Errno.EPERM, rig.Unmap(0, Page));
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(16, rig.Charged);
        Assert.Equal(Errno.EBUSY, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.None, rig.Map(0, 16 * Page));
        Assert.Equal(17, rig.Charged);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_DISABLE).Error);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_DISABLE).Error);
        Assert.Equal(1, rig.Charged);
        Assert.Equal(Errno.EPERM, rig.Map(0, Page));
    }

    [Fact]
    public async Task Enable_over_the_limit_or_without_a_window_fails()
    {
        await using SpaprRig poor = new(version2: false, options: static options => options with { LockedMemory = new LockedMemoryAccount(100) });
        Assert.Equal(Errno.ENOMEM, poor.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(0, poor.Charged);
        await using SpaprRig bare = new(version2: false, new SimulatedSpaprTableGroup { DefaultWindowSize = 0 });
        Assert.Equal(Errno.EPERM, bare.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
    }

    [Fact]
    public async Task Info_asks_for_a_group_first_and_writes_what_fits()
    {
        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, 15u, 0u, 0u, 0u).Error);
        Assert.Equal(Errno.EFAULT, rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, new UserArgument(rig.User, 0xdead_0000)).Error);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, 31u, 0u, 0u, 0u, 0xAAAA_AAAA_AAAA_AAAAul).Error);
        Assert.Equal(0xAAAA_AAAA_AAAA_AAAA, BitConverter.ToUInt64(rig.Reply[16..]));

        await using SpaprRig one = new(version2: false);
        Assert.Equal(Errno.None, one.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, 32u, 0u, 0u, 0u, 0xAAul, 0u, 0u).Error);
        Assert.Equal((0u, 0ul), (BitConverter.ToUInt32(one.Reply[4..]), BitConverter.ToUInt64(one.Reply[16..])));
        SpaprIommu left = one.Iommu;
        Assert.Equal(Errno.None, one.Group.UnsetContainer());
        Assert.Equal(Errno.ENXIO, left.GetInfo(out _));
        Assert.Equal(Errno.EINVAL, left.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, new UserArgument(new byte[32])).Error);
    }

    [Fact]
    public async Task Maps_are_checked_in_order()
    {
        await using SpaprRig rig = new(version2: false);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, 31u, 3u, Memory, 0ul, Page).Error);
        Assert.Equal(Errno.EINVAL, rig.Map(0, Page, flags: 4));
        Assert.Equal(Errno.ENXIO, rig.Map(1ul << 40, Page));
        Assert.Equal(Errno.EINVAL, rig.Map(0, Page + 1));
        Assert.Equal(Errno.EINVAL, rig.Map(0, Page, Memory + 1));
        Assert.Equal(Errno.EINVAL, rig.Map(0x800, Page));
        Assert.Equal(Errno.EINVAL, rig.Map(0, Page, flags: 0));
        Assert.Equal(Errno.EINVAL, rig.Map((1ul << 30) - Page, 2 * Page));
        Assert.Equal(Errno.EFAULT, rig.Map(0, Page, 0xDEAD_0000));
        Assert.Equal(0, rig.Tables.Windows[0]!.Count);
    }

    [Fact]
    public async Task Failing_map_clears_what_it_set_and_entries_are_replaced()
    {
        await using SpaprRig rig = new(version2: false);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.None, rig.Map(Page, Page, Memory + (8 * Page), SpaprRig.Read));
        Assert.Equal(8 * Page, rig.At(Page));
        Assert.True(rig.Tables.TryTranslate(Page, out _, out _, out DmaAccess access));
        Assert.Equal(DmaAccess.Read, access);

        // The user's memory ends behind one page of these two.
        ulong end = Memory + (ulong)rig.User.Bytes.Length;
        Assert.Equal(Errno.EFAULT, rig.Map(2 * Page, 2 * Page, end - Page));
        Assert.Null(rig.At(2 * Page));
        Assert.Equal(3 * Page, rig.At(3 * Page));
    }

    [Fact]
    public async Task Unmaps_may_cut_and_do_not_answer_a_size()
    {
        await using SpaprRig rig = new(version2: false);
        Assert.Equal(Errno.None, rig.Ioctl(VfioUapi.VFIO_IOMMU_ENABLE).Error);
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, 23u, 0u, 0ul, Page).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, 24u, VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL, 0ul, 0ul).Error);
        Assert.Equal(Errno.ENXIO, rig.Unmap(1ul << 40, Page));
        Assert.Equal(Errno.EINVAL, rig.Unmap(0, 1));
        Assert.Equal(Errno.EINVAL, rig.Unmap(0, (1ul << 30) + Page));
        Assert.Equal(Errno.None, rig.Unmap(Page, 2 * Page));
        Assert.Equal(2 * Page, BitConverter.ToUInt64(rig.Reply[16..]));
        Assert.Equal((0ul, null, null, 3 * Page), (rig.At(0)!.Value, rig.At(Page), rig.At(2 * Page), rig.At(3 * Page)!.Value));
        Assert.Equal(Errno.None, rig.Unmap(0, 1ul << 30));
        Assert.Equal(0, rig.Tables.Windows[0]!.Count);
    }

    [Fact]
    public async Task Memory_is_registered_in_whole_blocks()
    {
        await using SpaprRig rig = new(version2: true, options: static options => options with { LockedMemory = new LockedMemoryAccount(100) });
        Assert.Equal(Errno.EPERM, rig.Unregister(Memory, Page));
        Assert.Equal(Errno.EPERM, rig.Map(0, Page));
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 23u, 0u, Memory, Page).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24u, 1u, Memory, Page).Error);
        Assert.Equal(Errno.EINVAL, rig.Register(Memory + 1, Page));
        Assert.Equal(Errno.EINVAL, rig.Register(Memory, Page + 1));
        Assert.Equal(Errno.EINVAL, rig.Register(0xFFFF_FFFF_FFFF_F000, 2 * Page));
        Assert.Equal(Errno.EFAULT, rig.Register(0xDEAD_0000, Page));
        Assert.Equal(Errno.ENOMEM, rig.Register(Memory, 101 * Page));
        Assert.Equal(0, rig.Charged);
        Assert.Equal(Errno.None, rig.Register(Memory, 4 * Page));
        Assert.Equal(4, rig.Charged);
        Assert.Equal(Errno.EBUSY, rig.Register(Memory, 4 * Page));
        Assert.Equal(Errno.EINVAL, rig.Register(Memory + (2 * Page), 4 * Page));
        Assert.Equal(4, rig.Charged);
        Assert.Equal(Errno.ENOENT, rig.Unregister(Memory, 2 * Page));
        Assert.Equal(Errno.EINVAL, rig.Unregister(Memory, 2 * Page + 1));
        Assert.Equal(Errno.None, rig.Unregister(Memory, 4 * Page));
        Assert.Equal(Errno.ENOENT, rig.Unregister(Memory, 4 * Page));
        Assert.Equal(0, rig.Charged);
    }

    [Fact]
    public async Task Only_registered_memory_of_the_windows_page_size_is_mapped()
    {
        await using SpaprRig rig = new(version2: true, new SimulatedSpaprTableGroup { DefaultWindowSize = 1 << 16 });
        Assert.Equal(Errno.None, rig.Register(Memory, 4 * Page));
        Assert.Equal(Errno.None, rig.Map(0, 4 * Page));
        Assert.Equal(Errno.EINVAL, rig.Map(0, 5 * Page));
        Assert.Null(rig.At(0));
        Assert.Equal(Errno.None, rig.Create(16, 1 << 20, 1, out ulong start));

        // 64 KiB that are not 64 KiB pages.
        Assert.Equal(Errno.None, rig.Register(Memory + 0x1_0000, 0x1_0000 + Page));
        Assert.Equal(Errno.EINVAL, rig.Map(start, 0x1_0000, Memory + 0x1_0000));
        Assert.Equal(Errno.None, rig.Unregister(Memory + 0x1_0000, 0x1_0000 + Page));
        Assert.Equal(Errno.None, rig.Register(Memory + 0x1_0000, 0x1_0000));
        Assert.Equal(Errno.None, rig.Map(start, 0x1_0000, Memory + 0x1_0000));
        Assert.Equal(Errno.None, rig.Unregister(Memory, 4 * Page));
    }

    [Fact]
    public async Task Blocks_are_shared_by_the_containers_of_a_process()
    {
        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.None, rig.Register(Memory, 4 * Page));
        VfioGroupFile group = rig.Fixture.OpenGroup(rig.Fixture.AddPhysical("other", hardware: new SimulatedSpaprTableGroup()));
        VfioContainer other = rig.Fixture.OpenContainer();
        Assert.Equal(Errno.None, group.SetContainer(other));
        Assert.Equal(Errno.None, other.SetIommu(VfioUapi.VFIO_SPAPR_TCE_v2_IOMMU));
        SpaprIommu second = (SpaprIommu)other.Iommu!;
        Assert.Equal(Errno.None, second.RegisterMemory(rig.User, Memory, 4 * Page));
        Assert.Equal(4, rig.Charged);
        Assert.Equal(Errno.None, rig.Unregister(Memory, 4 * Page));
        Assert.Equal(4, rig.Charged);
        Assert.Equal(Errno.None, second.Map(DmaAccess.Read, rig.User, Memory, 0, Page));
        Assert.Equal(Errno.None, group.UnsetContainer());
        Assert.Equal(0, rig.Charged);
    }

    [Fact]
    public async Task Windows_are_checked_in_order()
    {
        await using SpaprRig rig = new(version2: true, options: static options => options with { LockedMemory = new LockedMemoryAccount(1000) });
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE, 39u, 0u, 12u, 0u, 1ul << 30, 1u, 0u, 0ul).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE, 40u, 1u, 12u, 0u, 1ul << 30, 1u, 0u, 0ul).Error);
        Assert.Equal(Errno.EINVAL, rig.Create(13, 1ul << 30, 1, out _));
        Assert.Equal(Errno.EINVAL, rig.Create(200, 1ul << 30, 1, out _));
        Assert.Equal(Errno.EINVAL, rig.Create(12, 3ul << 20, 1, out _));
        Assert.Equal(Errno.EINVAL, rig.Create(12, 1ul << 20, 6, out _));
        Assert.Equal(Errno.EINVAL, rig.Create(12, 1ul << 20, 0, out _));
        Assert.Equal(Errno.ENOMEM, rig.Create(12, 1ul << 31, 1, out _));
        Assert.Equal(512, rig.Charged);
        rig.Tables.SetWindowResult = Errno.EIO;
        Assert.Equal(Errno.EIO, rig.Create(12, 1ul << 20, 1, out _));
        rig.Tables.SetWindowResult = Errno.None;
        Assert.Equal(512, rig.Charged);
        Assert.Equal(Errno.None, rig.Create(12, 1ul << 20, 1, out ulong start));
        Assert.Equal(Errno.ENOSPC, rig.Create(12, 1ul << 20, 1, out _));
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, 15u, 0u, start).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, 16u, 1u, start).Error);
        Assert.Equal(Errno.EINVAL, rig.Remove(1ul << 50));
        Assert.Equal(Errno.None, rig.Remove(start));
        Assert.Equal(Errno.EINVAL, rig.Remove(start));
        Assert.Equal(Errno.None, rig.Remove(0));
        Assert.Equal(0, rig.Charged);
    }

    [Fact]
    public async Task Default_window_that_is_pending_can_be_cancelled()
    {
        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.None, rig.Remove(0));
        Assert.All(rig.Tables.Windows, Assert.Null);
        Assert.Equal(Errno.None, rig.Create(12, 1ul << 20, 1, out ulong start));
        Assert.Equal(0ul, start);
        Assert.Equal(Errno.None, rig.Register(Memory, Page));
        Assert.Equal(Errno.None, rig.Map(0, Page));
        Assert.Equal(Errno.ENXIO, rig.Map(1ul << 20, Page));
    }

    [Fact]
    public async Task Unwritable_answer_removes_the_window_again()
    {
        await using SpaprRig rig = new(version2: true);
        TestUserMemory memory = new(40, writable: 32);
        Type1Rig.Bytes(40u, 0u, 12u, 0u, 1ul << 20, 1u, 0u, 0ul).CopyTo(memory.Bytes, 0);
        Assert.Equal(Errno.EFAULT, rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE, new UserArgument(memory, TestUserMemory.Base)).Error);
        Assert.Single(rig.Tables.Windows, static window => window is not null);
    }

    [Fact]
    public async Task Another_process_is_refused_once_the_container_is_bound()
    {
        await using SpaprRig rig = new(version2: true);
        TestUserMemory stranger = new(0x1000);
        Type1Rig.Bytes(32u, 0u, 0u, 0u, 0ul, 0u, 0u).CopyTo(stranger.Bytes, 0);
        Assert.Equal(Errno.None, Info());
        Assert.Equal(Errno.None, rig.Register(Memory, Page));
        Assert.Equal(Errno.EPERM, Info());
        Assert.Equal(Errno.EPERM, rig.Iommu.RegisterMemory(stranger, TestUserMemory.Base, Page));
        Assert.Equal(Errno.EPERM, rig.Iommu.Map(DmaAccess.Read, stranger, TestUserMemory.Base, 0, Page));
        Assert.Equal(Errno.EPERM, rig.Iommu.CreateWindow(stranger, 12, Page, 1, out _));
        Assert.Equal(1, rig.Container.Ioctl(VfioUapi.VFIO_CHECK_EXTENSION, new UserArgument(stranger, VfioUapi.VFIO_SPAPR_TCE_IOMMU)).Value);

        Errno Info() => rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, new UserArgument(stranger, TestUserMemory.Base)).Error;
    }

    [Fact]
    public async Task Devices_cannot_do_DMA_in_software()
    {
        await using SpaprRig rig = new(version2: true);
        _ = rig.Fixture.OpenDevice(rig.Group, rig.Device.Name);
        Assert.Equal(Errno.ENOTTY, rig.Container.PinPages(rig.Device, 0, 1, DmaAccess.Read, new PinnedPage?[1]).Error);
        Assert.Equal(Errno.ENOTTY, rig.Device.Dma.Read(0, new byte[1]));
        Assert.False(rig.Device.Dma.IsAttached);
    }

    [Fact]
    public async Task Endpoint_operations_are_checked_and_go_over_the_groups()
    {
        await using SpaprRig rig = new(version2: true);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_EEH_PE_OP, 11u, 0u, VfioUapi.VFIO_EEH_PE_GET_STATE).Error);
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_EEH_PE_OP, 12u, 1u, VfioUapi.VFIO_EEH_PE_GET_STATE).Error);
        Assert.Equal(Errno.EINVAL, rig.Endpoint(10).Error);
        Assert.Equal(Errno.EINVAL, rig.Endpoint(VfioUapi.VFIO_EEH_PE_INJECT_ERR).Error);
        Assert.Equal(Errno.EFAULT, rig.Container.Ioctl(VfioUapi.VFIO_EEH_PE_OP, new UserArgument(rig.User, 0xDEAD_0000)).Error);
        Assert.Equal(Errno.EINVAL, Inject(2, 0));
        Assert.Equal(Errno.EINVAL, Inject(1, 20));
        Assert.Equal(Errno.None, Inject(1, 19));
        Assert.Equal((long)SpaprEndpointState.Stopped, rig.Iommu.Execute(SpaprEndpointOperation.GetState).Value);

        SimulatedSpaprTableGroup without = new() { Endpoint = null };
        Assert.Equal(Errno.None, rig.Fixture.OpenGroup(rig.Fixture.AddPhysical("without", hardware: without)).SetContainer(rig.Container));
        Assert.Equal((long)SpaprEndpointState.Stopped, rig.Endpoint(VfioUapi.VFIO_EEH_PE_GET_STATE).Value);
        Assert.Equal(Errno.ENODEV, rig.Endpoint(VfioUapi.VFIO_EEH_PE_ENABLE).Error);

        Errno Inject(uint type, uint function) => rig.Ioctl(VfioUapi.VFIO_EEH_PE_OP, 40u, 0u, VfioUapi.VFIO_EEH_PE_INJECT_ERR, 0u, type, function, 0ul, 0ul).Error;
    }

    [Fact]
    public void Endpoint_states_follow_its_operations()
    {
        SpaprEndpoint endpoint = new();
        endpoint.Freeze();
        Assert.Equal(0, endpoint.Execute(SpaprEndpointOperation.UnfreezeIo).Value);
        Assert.Equal(SpaprEndpointState.StoppedDma, endpoint.State);
        Assert.Equal(0, endpoint.Execute(SpaprEndpointOperation.UnfreezeDma).Value);
        Assert.Equal(SpaprEndpointState.Normal, endpoint.State);
        Assert.Equal(0, endpoint.Execute(SpaprEndpointOperation.ResetFundamental).Value);
        Assert.Equal(Errno.EIO, endpoint.Execute(SpaprEndpointOperation.UnfreezeIo).Error);
        Assert.False(endpoint.IsIoEnabled || endpoint.IsDmaEnabled);
        Assert.Equal(0, endpoint.Execute(SpaprEndpointOperation.ResetDeactivate).Value);
        Assert.True(endpoint.IsIoEnabled && endpoint.IsDmaEnabled);
        endpoint.Lose();
        Assert.Equal((long)SpaprEndpointState.Unavailable, endpoint.Execute(SpaprEndpointOperation.GetState).Value);
        Assert.Equal(Errno.EIO, endpoint.Execute(SpaprEndpointOperation.ResetHot).Error);
        Assert.Equal(0, endpoint.Execute(SpaprEndpointOperation.Disable).Value);
        Assert.Equal(Errno.EINVAL, endpoint.Inject(0, 0, 1ul << 40, 0));
    }
}
