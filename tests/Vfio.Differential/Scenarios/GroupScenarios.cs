using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>The group file (spec vfio-core §5.3).</summary>
internal static class GroupScenarios
{
    public static Subject Subject { get; } = new("group",
    [
        new("open-twice", static s =>
        {
            int group = s.Group();
            s.Group();
            s.Close(group);
            s.Group();
        }),
        new("open-while-cdev-is-open", static s =>
        {
            s.Cdev();
            int group = s.Group();
            s.Status(group);
        }),
        new("open-while-cdev-is-bound", static s =>
        {
            (_, int device, _) = s.OpenBound();
            s.Group();
            s.Group(Target.B);
            s.Close(device);
            s.Group();
        }),
        new("status", static s =>
        {
            int group = s.Group();
            s.Ioctl(group, VFIO_GROUP_GET_STATUS, new vfio_group_status { argsz = 1 });
            s.Ioctl(group, VFIO_GROUP_GET_STATUS, new vfio_group_status { argsz = 7 });
            s.Ioctl(group, VFIO_GROUP_GET_STATUS, new vfio_group_status { argsz = 8 });
            s.Ioctl(group, VFIO_GROUP_GET_STATUS, new vfio_group_status { argsz = 4096, flags = uint.MaxValue });
        }),
        new("status-faults", static s =>
        {
            int group = s.Group();
            s.BadPointer(group, VFIO_GROUP_GET_STATUS);
            s.Cut(group, VFIO_GROUP_GET_STATUS, default(vfio_group_status), 7);
            s.Cut(group, VFIO_GROUP_GET_STATUS, default(vfio_group_status), 8);
            s.ReadOnly(group, VFIO_GROUP_GET_STATUS, default(vfio_group_status));
        }),
        new("status-with-container", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Status(group);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Status(group);
        }),
        new("status-with-iommufd", static s =>
        {
            int iommufd = s.Iommufd();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            s.Status(group);
            int device = s.DeviceOf(group);
            s.Status(group);
            s.Close(device);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Status(group);
        }),
        new("set-container-descriptors", static s =>
        {
            int group = s.Group();
            s.BadPointer(group, VFIO_GROUP_SET_CONTAINER);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, -1);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, 999);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, s.EventFd());
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, group);
            int cdev = s.Cdev();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, cdev);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, s.MemFd(4096));
        }),
        new("set-container-twice", static s =>
        {
            int container = s.Container();
            int other = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, other);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, -1);
            int iommufd = s.Iommufd();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
        }),
        new("set-iommufd-twice", static s =>
        {
            int iommufd = s.Iommufd();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            int container = s.Container();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
        }),
        new("unset-container", static s =>
        {
            int group = s.Group();
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            int container = s.Container();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
        }),
        new("unset-container-with-open-device", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            int again = s.DeviceOf(group);
            s.Close(device);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Close(again);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
        }),
        new("get-device-without-container", static s =>
        {
            int group = s.Group();
            s.DeviceOf(group);
            s.DeviceOf(group, deviceName: "no such device");
        }),
        new("get-device-before-a-type-is-set", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.DeviceOf(group);
            s.DeviceOf(group, deviceName: "no such device");
        }),
        new("get-device-names", static s =>
        {
            (_, int group) = s.OpenContainer();
            s.BadPointer(group, VFIO_GROUP_GET_DEVICE_FD);
            s.DeviceOf(group, deviceName: "");
            s.DeviceOf(group, deviceName: "0000:00:04.1");
            s.DeviceOf(group, deviceName: "0000:00:04.");
            s.DeviceOf(group, deviceName: "0000:00:04.0 ");
            s.DeviceOf(group, deviceName: "0000:00:04.0x");
            s.DeviceOf(group, Target.B);
            s.DeviceOf(group);
        }),
        new("get-device-name-options", static s =>
        {
            (_, int group) = s.OpenContainer();
            const string Name = "0000:00:04.0";
            s.DeviceOf(group, deviceName: $"{Name} vf_token=");
            s.DeviceOf(group, deviceName: $"{Name} vf_token=2ab74924-c335-45f4-9b16-8569e5b08258");
            s.DeviceOf(group, deviceName: $"{Name} vf_token=2ab74924-c335-45f4-9b16-8569e5b0825g");
            s.DeviceOf(group, deviceName: $"{Name} vf_token=2ab74924-c335-45f4-9b16-8569e5b08258 vf_token=2ab74924-c335-45f4-9b16-8569e5b08258");
            s.DeviceOf(group, deviceName: $"{Name} other=1");
            s.DeviceOf(group, deviceName: $"{Name}vf_token=2ab74924-c335-45f4-9b16-8569e5b08258");
            s.DeviceOf(group, deviceName: $"{Name}    ");
        }),
        new("get-device-long-name", static s =>
        {
            (_, int group) = s.OpenContainer();
            s.DeviceOf(group, deviceName: new string('x', 4095));
            s.DeviceOf(group, deviceName: new string('x', 4096));
            s.DeviceOf(group, deviceName: new string('x', 5000));
        }),
        new("get-device-twice", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            int again = s.DeviceOf(group);
            s.Close(device);
            s.Ioctl(again, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
        }),
        new("group-closed-before-device", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            s.Close(group);
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Group();
            s.Close(device);
            s.Group();
        }),
        new("group-with-iommufd-closed-before-device", static s =>
        {
            int iommufd = s.Iommufd();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            int device = s.DeviceOf(group);
            s.Close(group);
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Group();
        }),
        new("unknown-commands", static s =>
        {
            int group = s.Group();
            s.Value(group, VFIO_GET_API_VERSION);
            s.Value(group, VFIO_CHECK_EXTENSION, 1);
            s.Value(group, VFIO_SET_IOMMU, 1);
            s.Value(group, VFIO_DEVICE_GET_INFO);
            s.Value(group, VFIO_DEVICE_RESET);
            s.Value(group, 0);
        }),
        new("read-write-poll", static s =>
        {
            int group = s.Group();
            s.ReadAt(group, 0, 8);
            s.WriteAt(group, 0, 8);
            s.Poll(group);
        }),
        new("cdev-cannot-bind-while-group-is-open", static s =>
        {
            int group = s.Group();
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.Bind(device, iommufd);
            s.Close(group);
            s.Bind(device, iommufd);
        }),
        new("device-of-a-group-cannot-bind-or-attach", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int iommufd = s.Iommufd();
            s.Bind(device, iommufd);
            s.Attach(device, 1);
            s.Detach(device);
        }),
        new("device-of-a-group-with-iommufd-cannot-bind-or-attach", static s =>
        {
            int iommufd = s.Iommufd();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            int device = s.DeviceOf(group);
            s.Bind(device, iommufd);
            s.Attach(device, 1);
            s.Detach(device);
        }),
        new("group-that-another-iommufd-owns", static s =>
        {
            int container = s.Container();
            int group = s.Group();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            int iommufd = s.Iommufd();
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, iommufd);
            int device = s.DeviceOf(group);
            s.Value(group, VFIO_GROUP_UNSET_CONTAINER);
            s.Descriptor(group, VFIO_GROUP_SET_CONTAINER, container);
            s.Status(group);
            s.Close(device);
        }),
    ]);
}
