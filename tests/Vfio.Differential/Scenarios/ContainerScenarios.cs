using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>The container file (spec vfio-core §5.2).</summary>
internal static class ContainerScenarios
{
    public static Subject Subject { get; } = new("container",
    [
        new("api-version", static s =>
        {
            int container = s.Container();
            s.Value(container, VFIO_GET_API_VERSION);
            s.Value(container, VFIO_GET_API_VERSION, ulong.MaxValue);
        }),
        new("check-extension-empty", static s =>
        {
            int container = s.Container();
            CheckExtensions(s, container);
        }),
        new("check-extension-with-group", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            CheckExtensions(s, container);
        }),
        new("check-extension-with-type1", static s =>
        {
            (int container, _) = s.OpenContainer(type: VFIO_TYPE1_IOMMU);
            CheckExtensions(s, container);
        }),
        new("check-extension-with-type1v2", static s =>
        {
            (int container, _) = s.OpenContainer();
            CheckExtensions(s, container);
        }),
        new("set-iommu-without-group", static s =>
        {
            int container = s.Container();
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.Value(container, VFIO_SET_IOMMU, 99);
        }),
        new("set-iommu-of-types-that-are-not-there", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            foreach (ulong type in (ulong[])[0, 2, 4, 5, 6, 7, 8, 9, 10, 11, ulong.MaxValue])
            {
                s.Value(container, VFIO_SET_IOMMU, type);
            }
        }),
        new("set-iommu-twice", static s =>
        {
            (int container, _) = s.OpenContainer();
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
        }),
        new("set-iommu-again-after-the-group-left", static s =>
        {
            (int container, int group) = s.OpenContainer();
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
        }),
        new("commands-before-a-type-is-set", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
            s.MapDma(container, 0, 0, 4096);
            s.UnmapDma(container, 0, 4096);
            s.Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, new vfio_iommu_type1_dirty_bitmap { flags = 1 });
            s.BadPointer(container, VFIO_IOMMU_GET_INFO);
        }),
        new("unknown-commands", static s =>
        {
            int container = s.Container();
            s.Value(container, VFIO_GROUP_GET_STATUS);
            s.Value(container, 0);
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.Value(container, VFIO_GROUP_GET_STATUS);
            s.Value(container, VFIO_IOMMU_ENABLE);
            s.Value(container, VFIO_IOMMU_DISABLE);
            s.Value(container, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY);
            s.Value(container, VFIO_EEH_PE_OP);
            s.Value(container, 0);
            s.Value(container, 0xC0083B64, name: "VFIO_GET_API_VERSION with size bits");
        }),
        new("read-write-poll-map", static s =>
        {
            int container = s.Container();
            s.ReadAt(container, 0, 8);
            s.WriteAt(container, 0, 8);
            s.Poll(container);
        }),
        new("container-closed-before-group", static s =>
        {
            (int container, int group, int device) = s.OpenType1();
            s.Close(container);
            s.Status(group);
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Close(device);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Status(group);
        }),
        new("two-groups-in-one-container", static s =>
        {
            (int container, int first) = s.OpenContainer(Target.A);
            int second = s.Group(Target.B);
            s.Descriptor(second, VFIO_GROUP_SET_CONTAINER, container);
            int a = s.DeviceOf(first, Target.A);
            int b = s.DeviceOf(second, Target.B);
            s.Close(a);
            s.Value(first, VFIO_GROUP_UNSET_CONTAINER);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
            s.Close(b);
            s.Value(second, VFIO_GROUP_UNSET_CONTAINER);
            s.Ioctl(container, VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info));
        }),
        new("mappings-stay-while-a-group-is-in", static s =>
        {
            UserBuffer memory = s.Memory();
            (int container, int first) = s.OpenContainer(Target.A);
            int second = s.Group(Target.B);
            s.Descriptor(second, VFIO_GROUP_SET_CONTAINER, container);
            s.MapDma(container, memory.Address, 0x10000, 4096);
            s.Value(first, VFIO_GROUP_UNSET_CONTAINER);
            s.MapDma(container, memory.Address, 0x10000, 4096);
            s.Value(second, VFIO_GROUP_UNSET_CONTAINER);
            s.Descriptor(first, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
            s.MapDma(container, memory.Address, 0x10000, 4096);
        }),
    ]);

    private static void CheckExtensions(Session s, int container)
    {
        for (ulong extension = 0; extension <= 11; extension++)
        {
            s.Value(container, VFIO_CHECK_EXTENSION, extension);
        }

        s.Value(container, VFIO_CHECK_EXTENSION, ulong.MaxValue);
    }
}
