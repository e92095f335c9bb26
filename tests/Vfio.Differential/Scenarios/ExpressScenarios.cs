using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>What only the Express function has: message tables, memory, power management, function level reset.</summary>
internal static class ExpressScenarios
{
    private const uint Msi = VFIO_PCI_MSI_IRQ_INDEX;
    private const uint Msix = VFIO_PCI_MSIX_IRQ_INDEX;
    private const uint None = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    private const uint Bool = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER;
    private const uint EventFd = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    private const ulong ExpressCapability = 0x40;
    private const ulong PowerCapability = 0x80;
    private const ulong MsixCapability = 0xA0;

    public static Subject Subject { get; } = new("express",
    [
        .. Enumerable.Range(0, 9).Select(static index => new Scenario($"region-{((PciRegion)index).ToString().ToLowerInvariant()}", s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = (uint)index, flags = uint.MaxValue, cap_offset = 77 }, new byte[64]);
            s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = (uint)index, cap_offset = 77 });
            s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = (uint)index }, new byte[4]);
        })),
        .. Enumerable.Range(0, 5).Select(static index => new Scenario($"irq-{((PciInterrupt)index).ToString().ToLowerInvariant()}", s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { index = (uint)index });
        })),
        new("msix-loopback", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, count: 4, descriptors: eventFds);
            s.SetIrqs(device, Msix, None, count: 4);
            ExpectAll(s, eventFds);
            s.SetIrqs(device, Msix, None, start: 1, count: 2);
            s.Expect(eventFds[1]);
            s.Expect(eventFds[2]);
            s.ExpectNone(eventFds[0]);
            s.SetIrqs(device, Msix, Bool, count: 4, booleans: [0, 0, 0, 1]);
            s.Expect(eventFds[3]);
            s.ExpectNone(eventFds[1]);
            s.SetIrqs(device, Msix, None, count: 0);
            s.SetIrqs(device, Msix, None, count: 4);
        }),
        new("msix-limits", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, count: 5, descriptors: [.. eventFds, -1]);
            s.SetIrqs(device, Msix, EventFd, start: 1, count: 4, descriptors: eventFds);
            s.SetIrqs(device, Msix, EventFd, start: 4, descriptors: [eventFds[0]]);
            s.SetIrqs(device, Msix, EventFd, start: 4, count: 0, descriptors: []);
            s.SetIrqs(device, Msix, EventFd, count: 4, descriptors: eventFds, argsz: 35);
            s.SetIrqs(device, Msix, EventFd, count: 0, descriptors: []);
            s.SetIrqs(device, Msix, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK);
            s.SetIrqs(device, Msix, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK);
        }),
        new("msix-vectors-one-by-one", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, descriptors: [eventFds[0]]);
            s.SetIrqs(device, Msix, EventFd, start: 2, descriptors: [eventFds[2]]);
            s.SetIrqs(device, Msix, None, count: 4);
            s.Expect(eventFds[0]);
            s.Expect(eventFds[2]);
            s.ExpectNone(eventFds[1]);
            s.SetIrqs(device, Msix, EventFd, start: 1, count: 3, descriptors: [eventFds[1], -1, eventFds[3]]);
            s.SetIrqs(device, Msix, None, count: 4);
            s.Expect(eventFds[0]);
            s.Expect(eventFds[1]);
            s.Expect(eventFds[3]);
            s.ExpectNone(eventFds[2]);
        }),
        new("msix-starts-in-the-middle", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, start: 2, count: 2, descriptors: [eventFds[2], eventFds[3]]);
            s.SetIrqs(device, Msix, None, count: 4);
            s.Expect(eventFds[2]);
            s.Expect(eventFds[3]);
            s.ExpectNone(eventFds[0]);
        }),
        new("msix-bad-descriptor-undoes", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, count: 3, descriptors: [eventFds[0], eventFds[1], 999]);
            s.SetIrqs(device, Msix, None, count: 3);
            s.SetIrqs(device, Msix, EventFd, count: 3, descriptors: eventFds[..3]);
            s.SetIrqs(device, Msix, EventFd, count: 2, descriptors: [eventFds[3], 999]);
            s.SetIrqs(device, Msix, None, count: 3);
            s.Expect(eventFds[2]);
            s.ExpectNone(eventFds[0]);
            s.ExpectNone(eventFds[1]);
            s.ExpectNone(eventFds[3]);
        }),
        new("msix-from-the-device", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msix, EventFd, count: 4, descriptors: eventFds);
            Edu.EnableBusMaster(s, device);
            for (ulong vector = 0; vector < 4; vector++)
            {
                s.Store(device, PciRegion.Bar0, Edu.Vector, 4, vector);
                s.Expect(eventFds[vector]);
            }
        }),
        new("msi-with-four-vectors", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msi, EventFd, count: 5, descriptors: [.. eventFds, -1]);
            s.SetIrqs(device, Msi, EventFd, count: 4, descriptors: eventFds);
            s.SetIrqs(device, Msi, None, count: 4);
            ExpectAll(s, eventFds);
            s.SetIrqs(device, Msi, EventFd, start: 3, descriptors: [-1]);
            s.SetIrqs(device, Msi, None, count: 4);
            s.Expect(eventFds[2]);
            s.ExpectNone(eventFds[3]);
        }),
        new("msi-vectors-cannot-be-added", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msi, EventFd, descriptors: [eventFds[0]]);
            s.SetIrqs(device, Msi, EventFd, start: 1, descriptors: [eventFds[1]]);
        }),
        new("msi-and-msix-exclude-each-other", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int[] eventFds = EventFds(s);
            s.SetIrqs(device, Msi, EventFd, descriptors: [eventFds[0]]);
            s.SetIrqs(device, Msix, EventFd, descriptors: [eventFds[0]]);
            s.SetIrqs(device, Msix, None, count: 0);
            s.SetIrqs(device, Msi, None);
            s.SetIrqs(device, Msi, None, count: 0);
            s.SetIrqs(device, Msix, EventFd, descriptors: [eventFds[0]]);
            s.SetIrqs(device, VFIO_PCI_INTX_IRQ_INDEX, EventFd, descriptors: [eventFds[1]]);
            s.SetIrqs(device, Msi, EventFd, descriptors: [eventFds[0]]);
        }),
        new("msix-table-is-hidden", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Load(device, PciRegion.Bar4, 0, 4);
            s.Load(device, PciRegion.Bar4, 12, 4);
            s.Store(device, PciRegion.Bar4, 12, 4, 0);
            s.Load(device, PciRegion.Bar4, 12, 4);
            s.Load(device, PciRegion.Bar4, 0x800, 4);
            s.ReadAt(device, PciLayout.Position(4, 0x38), 16, shown: 16);
        }),
        new("msix-registers", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Load(device, PciRegion.Config, MsixCapability, 4);
            s.Load(device, PciRegion.Config, MsixCapability + 4, 4);
            s.Load(device, PciRegion.Config, MsixCapability + 8, 4);
            s.Store(device, PciRegion.Config, MsixCapability + 2, 2, 0xC000);
            s.Load(device, PciRegion.Config, MsixCapability + 2, 2);
            s.Store(device, PciRegion.Config, MsixCapability + 4, 4, 0xFFFFFFFF);
            s.Load(device, PciRegion.Config, MsixCapability + 4, 4);
        }),
        new("memory", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Store(device, PciRegion.Bar2, 0, 8, 0x1122334455667788);
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                s.Load(device, PciRegion.Bar2, 0, width);
            }

            s.Load(device, PciRegion.Bar2, 2, 2);
            s.Load(device, PciRegion.Bar2, 1, 4);
            s.Load(device, PciRegion.Bar2, ModelDevice.MemorySize - 1, 1);
            s.Load(device, PciRegion.Bar2, ModelDevice.MemorySize, 1);
            s.ReadAt(device, PciLayout.Position(2, ModelDevice.MemorySize - 4), 16);
            s.ReadAt(device, PciLayout.Position(2, 3), 7, shown: 7);
        }),
        new("map-memory", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Map(device, PciRegion.Bar2);
            s.Map(device, PciRegion.Bar2, length: ModelDevice.MemorySize);
            s.Map(device, PciRegion.Bar2, ModelDevice.MemorySize - 0x1000);
            s.Map(device, PciRegion.Bar2, protection: MemoryProtection.Read);
            s.Map(device, PciRegion.Bar2, shared: false);
            s.Map(device, PciRegion.Bar2, ModelDevice.MemorySize);
            s.Map(device, PciRegion.Bar2, length: ModelDevice.MemorySize + 0x1000);
            s.Map(device, PciRegion.Bar3);
        }),
        new("memory-without-decode", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 0);
            s.Load(device, PciRegion.Bar2, 0, 4);
            s.Map(device, PciRegion.Bar2);
            s.Load(device, PciRegion.Bar4, 0, 4);
        }),
        new("power-states", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Load(device, PciRegion.Config, PowerCapability, 4);
            s.Load(device, PciRegion.Config, PowerCapability + 4, 2);
            s.Store(device, PciRegion.Config, PowerCapability + 4, 2, 3);
            s.Load(device, PciRegion.Config, PowerCapability + 4, 2);
            s.Load(device, PciRegion.Bar0, Edu.Identification, 4);
            s.Load(device, PciRegion.Config, 0, 4);
            s.Store(device, PciRegion.Config, PowerCapability + 4, 2, 0);
            s.Load(device, PciRegion.Config, PowerCapability + 4, 2);
            s.Load(device, PciRegion.Bar0, Edu.Identification, 4);
        }),
        new("function-level-reset", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            Edu.EnableBusMaster(s, device);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            ulong control = s.Load(device, PciRegion.Config, ExpressCapability + 8, 2);
            s.Store(device, PciRegion.Config, ExpressCapability + 8, 2, control | 0x8000);
            s.Load(device, PciRegion.Config, ExpressCapability + 8, 2);
            s.Load(device, PciRegion.Config, 4, 2);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
        }),
        new("express-registers", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Load(device, PciRegion.Config, ExpressCapability, 4);
            s.Load(device, PciRegion.Config, ExpressCapability + 4, 4);
            s.Load(device, PciRegion.Config, 0x100, 4);
            s.Load(device, PciRegion.Config, 0xFFC, 4);
            s.Load(device, PciRegion.Config, 0xFFD, 4);
            s.Load(device, PciRegion.Config, 0x1000, 4);
        }),
        new("ioeventfd-on-tables-and-memory", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            int eventFd = s.EventFd();
            foreach (ulong position in (ulong[])[PciLayout.Position(4), PciLayout.Position(4, 0x3C), PciLayout.Position(4, 0x40), PciLayout.Position(2), PciLayout.Position(3)])
            {
                s.Ioctl(device, VFIO_DEVICE_IOEVENTFD, new vfio_device_ioeventfd { flags = 4, offset = position, fd = eventFd });
            }
        }),
        new("dma-buf", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            DmaBuf(s, device, 2, 0, 0x1000);
            DmaBuf(s, device, 2, 0, ModelDevice.MemorySize);
        }),
        new("dma-buf-refused", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            DmaBuf(s, device, 2, 0, 0);
            DmaBuf(s, device, 2, 0x800, 0x1000);
            DmaBuf(s, device, 2, 0, 0x800);
            DmaBuf(s, device, 2, 0, ModelDevice.MemorySize + 0x1000);
            DmaBuf(s, device, 2, ModelDevice.MemorySize, 0x1000);
            DmaBuf(s, device, 2, 0xFFFFFFFFFFFFF000, 0x2000);
            DmaBuf(s, device, 3, 0, 0x1000);
            DmaBuf(s, device, 6, 0, 0x1000);
            DmaBuf(s, device, 7, 0, 0x1000);
            DmaBuf(s, device, 2, 0, 0x1000, count: 0);
            DmaBuf(s, device, 2, 0, 0x1000, flags: 1);
        }),
        new("close-restores", static s =>
        {
            (_, int group, int device) = s.OpenType1(Target.B);
            Edu.EnableBusMaster(s, device);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            s.Store(device, PciRegion.Config, PowerCapability + 4, 2, 3);
            s.Close(device);
            int again = s.DeviceOf(group, Target.B);
            s.Load(again, PciRegion.Config, PowerCapability + 4, 2);
            s.Store(again, PciRegion.Config, 4, 2, 2);
            s.Load(again, PciRegion.Bar0, Edu.Liveness, 4);
        }),
    ]);

    private static int[] EventFds(Session s) => [s.EventFd(), s.EventFd(), s.EventFd(), s.EventFd()];

    private static void ExpectAll(Session s, int[] eventFds)
    {
        foreach (int eventFd in eventFds)
        {
            s.Expect(eventFd);
        }
    }

    private static void DmaBuf(Session s, int device, uint region, ulong offset, ulong length, uint count = 1, uint flags = 0)
        => s.IoctlDescriptor(device, VFIO_DEVICE_FEATURE, new DmaBufFeature
        {
            feature = new vfio_device_feature { flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
            buffer = new vfio_device_feature_dma_buf { region_index = region, nr_ranges = count, flags = flags },
            range = new vfio_region_dma_range { offset = offset, length = length },
        });

    [StructLayout(LayoutKind.Sequential)]
    private struct DmaBufFeature
    {
        public vfio_device_feature feature;
        public vfio_device_feature_dma_buf buffer;
        public vfio_region_dma_range range;
    }
}
