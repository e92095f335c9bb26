using System.Runtime.InteropServices;
using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>Resets of a device and of its bus (spec vfio-core §5.11).</summary>
internal static class ResetScenarios
{
    public static Subject Subject { get; } = new("reset",
    [
        new("device-that-cannot", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Value(device, VFIO_DEVICE_RESET);
        }),
        new("device-that-can", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Value(device, VFIO_DEVICE_RESET);
            s.Value(device, VFIO_DEVICE_RESET, 123);
        }),
        new("reset-clears-registers", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            Edu.EnableBusMaster(s, device);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            s.Store(device, PciRegion.Config, 0x3C, 1, 0x33);
            s.Value(device, VFIO_DEVICE_RESET);
            s.Load(device, PciRegion.Config, 4, 2);
            s.Load(device, PciRegion.Config, 0x3C, 1);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("reset-keeps-interrupts", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int eventFd = s.EventFd();
            s.SetIrqs(device, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, descriptors: [eventFd]);
            s.Value(device, VFIO_DEVICE_RESET);
            s.SetIrqs(device, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
            s.Expect(eventFd);
            Edu.EnableBusMaster(s, device);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 4);
            s.Expect(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 4);
        }),
        new("close-resets", static s =>
        {
            (_, int group, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            s.Close(device);
            int again = s.DeviceOf(group, Target.B);
            s.Store(again, PciRegion.Config, 4, 2, 2);
            s.Load(again, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("hot-reset-info-on-a-root-bus", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Info(s, device, 4);
            s.Ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new vfio_pci_hot_reset_info { argsz = 11 });
            s.BadPointer(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO);
        }),
        new("hot-reset-on-a-root-bus", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            HotReset(s, device, 0, group);
            HotReset(s, device, 0);
            HotReset(s, device, 1, group);
            s.Ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, new vfio_pci_hot_reset { argsz = 11 });
            s.BadPointer(device, VFIO_DEVICE_PCI_HOT_RESET);
        }),
        new("hot-reset-info", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            Info(s, device, 4);
            Info(s, device, 1);
            Info(s, device, 0);
            s.Ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new vfio_pci_hot_reset_info { argsz = 11, count = 77 });
            s.Ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new vfio_pci_hot_reset_info { argsz = 19, count = 77 }, new byte[8]);
        }),
        new("hot-reset-info-of-cdev", static s =>
        {
            (_, int device, _) = s.OpenBound(Target.B);
            Info(s, device, 4, byId: true);
            Info(s, device, 0, byId: true);
        }),
        new("hot-reset-by-group", static s =>
        {
            (_, int group, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            HotReset(s, device, 0, group);
            s.Load(device, PciRegion.Config, 4, 2);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("hot-reset-arguments", static s =>
        {
            (int container, int group, int device) = s.OpenType1(Target.B);
            int other = s.Group(Target.A);
            s.BadPointer(device, VFIO_DEVICE_PCI_HOT_RESET);
            s.Ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, new vfio_pci_hot_reset { argsz = 11 });
            HotReset(s, device, 1, group);
            HotReset(s, device, 0);
            HotReset(s, device, 0, -1);
            HotReset(s, device, 0, 999);
            HotReset(s, device, 0, container);
            HotReset(s, device, 0, device);
            HotReset(s, device, 0, s.EventFd());
            HotReset(s, device, 0, other);
            HotReset(s, device, 0, group, group);
            HotReset(s, device, 0, group, other);
            s.Ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, new vfio_pci_hot_reset { argsz = 12, count = 0xFFFFFFFF });
        }),
        new("hot-reset-by-cdev", static s =>
        {
            (_, int device, _) = s.OpenBound(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            HotReset(s, device, 0, device);
            HotReset(s, device, 0);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("reset-while-attached", static s =>
        {
            UserBuffer memory = s.Memory(2);
            (int iommufd, int device, _) = s.OpenBound(Target.B);
            uint ioas = s.NewIoas(iommufd);
            s.Attach(device, ioas);
            s.MapFixed(iommufd, ioas, memory.Address, 0x2000, 0x100000);
            s.Value(device, VFIO_DEVICE_RESET);
            Edu.EnableBusMaster(s, device);
            memory.Span[..16].Fill(0x5A);
            Edu.Transfer(s, device, 0x100000, 16, toMemory: false);
            Edu.Transfer(s, device, 0x101000, 16, toMemory: true);
            s.Note("memory+0x1000", memory.Span.Slice(0x1000, 20));
        }),
    ]);

    private static void Info(Session s, int device, int room, bool byId = false)
        => s.Ioctl(
            device,
            VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
            new vfio_pci_hot_reset_info { flags = 0xF0F0F0F0 },
            new byte[room * 8],
            describe: byId ? s.DependentsWithIds : s.DependentsWithGroups);

    private static void HotReset(Session s, int device, uint flags, params int[] files)
        => s.Ioctl(
            device,
            VFIO_DEVICE_PCI_HOT_RESET,
            new vfio_pci_hot_reset { flags = flags, count = (uint)files.Length },
            MemoryMarshal.AsBytes(files.AsSpan()).ToArray(),
            describe: s.Descriptors);
}
