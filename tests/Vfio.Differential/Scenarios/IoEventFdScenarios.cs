using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>VFIO_DEVICE_IOEVENTFD (spec vfio-core §5.11).</summary>
internal static class IoEventFdScenarios
{
    private const ulong BarSize = 0x100000;

    public static Subject Subject { get; } = new("ioeventfd",
    [
        new("arguments", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.BadPointer(device, VFIO_DEVICE_IOEVENTFD);
            s.Cut(device, VFIO_DEVICE_IOEVENTFD, new vfio_device_ioeventfd { flags = 4, fd = eventFd }, 27);
            s.Ioctl(device, VFIO_DEVICE_IOEVENTFD, new vfio_device_ioeventfd { argsz = 27, flags = 4, fd = eventFd });
            foreach (uint flags in (uint[])[0, 3, 5, 15, 16, 20, 0x80000004])
            {
                s.Ioctl(device, VFIO_DEVICE_IOEVENTFD, new vfio_device_ioeventfd { flags = flags, fd = eventFd });
            }
        }),
        new("places", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            Set(s, device, 4, PciLayout.Position(0, BarSize), eventFd);
            Set(s, device, 4, PciLayout.Position(0, BarSize - 2), eventFd);
            Set(s, device, 4, PciLayout.Position(1), eventFd);
            Set(s, device, 4, PciLayout.Position(6), eventFd);
            Set(s, device, 4, PciLayout.Position(7), eventFd);
            Set(s, device, 4, PciLayout.Position(9), eventFd);
            Set(s, device, 4, PciLayout.Position(100), eventFd);
            Set(s, device, 4, ulong.MaxValue, eventFd);
        }),
        new("descriptors", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Set(s, device, 4, 4, -1);
            Set(s, device, 4, 4, -2);
            Set(s, device, 4, 4, 999);
            Set(s, device, 4, 4, s.MemFd(4096));
            Set(s, device, 4, 4, device);
        }),
        new("add-and-remove", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            Set(s, device, 4, 4, eventFd);
            Set(s, device, 4, 4, eventFd);
            Set(s, device, 4, 4, eventFd, value: 1);
            Set(s, device, 4, 4, -1, value: 2);
            Set(s, device, 2, 4, -1);
            Set(s, device, 4, 4, -1);
            Set(s, device, 4, 4, -1);
            Set(s, device, 4, 4, eventFd);
        }),
        new("signal-writes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0);
            Set(s, device, 4, 4, eventFd, value: 0x11223344);
            s.Signal(eventFd);
            s.WaitUntil(device, PciRegion.Bar0, Edu.Liveness, static value => value == ~0x11223344u);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("widths", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            foreach (uint width in (uint[])[1, 2, 4, 8])
            {
                Set(s, device, width, 0x80, eventFd);
            }
        }),
        new("close-forgets", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            Set(s, device, 4, 4, eventFd);
            s.Close(device);
            int again = s.DeviceOf(group);
            Set(s, again, 4, 4, -1);
        }),
        new("thousand", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.Quietly(() =>
            {
                for (ulong i = 0; i < 999; i++)
                {
                    Set(s, device, 4, 0x80, eventFd, i);
                }
            });
            Set(s, device, 4, 0x80, eventFd, 999);
            Set(s, device, 4, 0x80, eventFd, 1000);
            Set(s, device, 4, 0x80, -1, 5);
            Set(s, device, 4, 0x80, eventFd, 1000);
        }),
    ]);

    private static void Set(Session s, int device, uint width, ulong position, int eventFd, ulong value = 0)
        => s.Ioctl(device, VFIO_DEVICE_IOEVENTFD, new vfio_device_ioeventfd { flags = width, offset = position, data = value, fd = eventFd });
}
