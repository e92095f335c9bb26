using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>The device's own node: bind, attach, detach (spec vfio-core §5.4).</summary>
internal static class CdevScenarios
{
    public static Subject Subject { get; } = new("cdev",
    [
        new("nothing-but-bind-before-bind", static s =>
        {
            int device = s.Cdev();
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, default(vfio_region_info));
            s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, default(vfio_irq_info));
            s.Value(device, VFIO_DEVICE_RESET);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = VFIO_DEVICE_FEATURE_PROBE });
            s.Attach(device, 1);
            s.Detach(device);
            s.BadPointer(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
            s.Value(device, 0);
            s.Load(device, PciRegion.Config, 0, 4);
            s.Store(device, PciRegion.Config, 4, 2, 0);
            s.Map(device, PciRegion.Bar0);
            s.Poll(device);
        }),
        new("bind-arguments", static s =>
        {
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.BadPointer(device, VFIO_DEVICE_BIND_IOMMUFD);
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { argsz = 1, iommufd = iommufd });
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { argsz = 15, iommufd = iommufd });
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd }, [0, 0, 0, 1]);
            s.Cut(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd }, 3);
            s.Cut(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd }, 16);
            foreach (uint flags in (uint[])[2, 3, 0x80000000])
            {
                s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { flags = flags, iommufd = iommufd });
            }
        }),
        new("bind-descriptors", static s =>
        {
            int device = s.Cdev();
            int container = s.Container();
            int memfd = s.MemFd(4096);
            foreach (int descriptor in (int[])[-1, int.MinValue, 999, device, container, memfd])
            {
                s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = descriptor });
            }
        }),
        new("bind-of-first-version", static s =>
        {
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { argsz = 16, iommufd = iommufd, token_uuid_ptr = 0x1000 });
        }),
        new("bind-with-longer-structure", static s =>
        {
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd }, new byte[16]);
        }),
        new("bind-read-only-argument", static s =>
        {
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.ReadOnly(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd });
            s.Bind(device, iommufd);
        }),
        new("bind-token", static s =>
        {
            UserBuffer token = s.Memory();
            int iommufd = s.Iommufd();
            int device = s.Cdev();
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { flags = VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd = iommufd });
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { flags = VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd = iommufd, token_uuid_ptr = 0x1000 });
            s.Ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { flags = VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd = iommufd, token_uuid_ptr = token.Address });
        }),
        new("bind-twice", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            s.Bind(device, iommufd);
            int other = s.Cdev();
            s.Bind(other, iommufd);
            s.Ioctl(other, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Close(device);
            s.Bind(other, iommufd);
        }),
        new("bind-with-another-iommufd", static s =>
        {
            (_, int device, _) = s.OpenBound();
            int second = s.Iommufd();
            s.Bind(device, second);
            int other = s.Cdev();
            s.Bind(other, second);
        }),
        new("bind-two-devices", static s =>
        {
            (int iommufd, _, _) = s.OpenBound(Target.A);
            int other = s.Cdev(Target.B);
            s.Bind(other, iommufd);
        }),
        new("bound-device-keeps-the-iommufd", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            s.Close(iommufd);
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
            s.Attach(device, 1);
        }),
        new("attach-arguments", static s =>
        {
            (int iommufd, int device, uint id) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.BadPointer(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
            s.Cut(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { pt_id = ioas }, 11);
            s.Ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { argsz = 11, pt_id = ioas });
            s.Ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { flags = 2, pt_id = ioas });
            s.Attach(device, 0);
            s.Attach(device, id);
            s.Attach(device, 999);
            s.Attach(device, uint.MaxValue);
        }),
        new("attach-of-first-version", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Cut(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { argsz = 12, pt_id = ioas }, 12);
        }),
        new("attach-twice", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Attach(device, ioas);
            s.Attach(device, ioas);
            uint other = s.NewIoas(iommufd);
            s.Attach(device, other);
            s.Detach(device);
            s.Attach(device, ioas);
        }),
        new("attach-page-table", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            uint automatic = s.Attach(device, ioas);
            s.Attach(device, automatic);
            s.Detach(device);
            s.Attach(device, automatic);
        }),
        new("attach-read-only-argument", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.ReadOnly(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { pt_id = ioas });
            s.Destroy(iommufd, ioas);
        }),
        new("attach-pasid", static s =>
        {
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { argsz = 12, flags = VFIO_DEVICE_ATTACH_PASID, pt_id = ioas });
            s.Ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { flags = VFIO_DEVICE_ATTACH_PASID, pt_id = ioas, pasid = 1 });
            s.Ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { flags = VFIO_DEVICE_ATTACH_PASID, pt_id = 999, pasid = 1 });
        }),
        new("detach-arguments", static s =>
        {
            (_, int device, _) = s.OpenBound();
            s.BadPointer(device, VFIO_DEVICE_DETACH_IOMMUFD_PT);
            s.Cut(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, default(vfio_device_detach_iommufd_pt), 7);
            s.Ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, new vfio_device_detach_iommufd_pt { argsz = 7 });
            s.Ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, new vfio_device_detach_iommufd_pt { argsz = 8 });
            s.Ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, new vfio_device_detach_iommufd_pt { flags = 2 });
            s.Ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, new vfio_device_detach_iommufd_pt { argsz = 8, flags = VFIO_DEVICE_DETACH_PASID });
            s.Ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, new vfio_device_detach_iommufd_pt { flags = VFIO_DEVICE_DETACH_PASID, pasid = 1 });
            s.Detach(device);
            s.Detach(device);
        }),
        new("devices-share-an-address-space", static s =>
        {
            (int iommufd, int first, _) = s.OpenBound(Target.A);
            int second = s.Cdev(Target.B);
            s.Bind(second, iommufd);
            uint ioas = s.NewIoas(iommufd);
            s.Attach(first, ioas);
            s.Attach(second, ioas);
            s.Destroy(iommufd, ioas);
            s.Detach(first);
            s.Destroy(iommufd, ioas);
            s.Detach(second);
            s.Destroy(iommufd, ioas);
        }),
        new("group-only-commands-on-cdev", static s =>
        {
            (_, int device, _) = s.OpenBound();
            s.Value(device, VFIO_GROUP_GET_STATUS);
            s.Value(device, VFIO_GET_API_VERSION);
            s.Value(device, 0x3B7A, name: "VFIO_BASE+22");
        }),
        new("device-moves-data-through-iommufd", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Attach(device, ioas);
            s.MapFixed(iommufd, ioas, memory.Address, 0x2000, 0x100000);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
        new("device-reaches-nothing-after-detach", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, int device, _) = s.OpenBound();
            uint ioas = s.NewIoas(iommufd);
            s.Attach(device, ioas);
            s.MapFixed(iommufd, ioas, memory.Address, 0x2000, 0x100000);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            s.Detach(device);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
    ]);
}
