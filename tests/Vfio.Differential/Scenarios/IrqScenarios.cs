using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>VFIO_DEVICE_SET_IRQS (spec vfio-core §5.10).</summary>
internal static class IrqScenarios
{
    private const uint Intx = VFIO_PCI_INTX_IRQ_INDEX;
    private const uint Msi = VFIO_PCI_MSI_IRQ_INDEX;
    private const uint Msix = VFIO_PCI_MSIX_IRQ_INDEX;
    private const uint Error = VFIO_PCI_ERR_IRQ_INDEX;
    private const uint Request = VFIO_PCI_REQ_IRQ_INDEX;
    private const uint None = VFIO_IRQ_SET_DATA_NONE;
    private const uint Bool = VFIO_IRQ_SET_DATA_BOOL;
    private const uint EventFd = VFIO_IRQ_SET_DATA_EVENTFD;
    private const uint Mask = VFIO_IRQ_SET_ACTION_MASK;
    private const uint Unmask = VFIO_IRQ_SET_ACTION_UNMASK;
    private const uint Trigger = VFIO_IRQ_SET_ACTION_TRIGGER;

    public static Subject Subject { get; } = new("irq",
    [
        new("arguments", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.BadPointer(device, VFIO_DEVICE_SET_IRQS);
            s.Cut(device, VFIO_DEVICE_SET_IRQS, new vfio_irq_set { flags = None | Trigger }, 19);
            s.SetIrqs(device, Intx, None | Trigger, argsz: 19);
            s.SetIrqs(device, 5, None | Trigger);
            s.SetIrqs(device, uint.MaxValue, None | Trigger);
            s.SetIrqs(device, Intx, None | Trigger, count: uint.MaxValue);
            s.SetIrqs(device, Intx, None | Trigger, start: uint.MaxValue);
            s.SetIrqs(device, Intx, None | Trigger, start: 1);
            s.SetIrqs(device, Intx, None | Trigger, start: 1, count: 0);
            s.SetIrqs(device, Intx, None | Trigger, count: 2);
            s.SetIrqs(device, Intx, None | Trigger | 0x40);
            s.SetIrqs(device, Intx, 0x80000000 | None | Trigger);
        }),
        new("data-kinds", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Intx, Trigger);
            s.SetIrqs(device, Intx, None | Bool | Trigger, booleans: [1]);
            s.SetIrqs(device, Intx, None | EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, Bool | EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, Bool | Trigger);
            s.SetIrqs(device, Intx, EventFd | Trigger);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd], argsz: 23);
        }),
        new("actions", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint index in (uint[])[Intx, Msi, Error, Request])
            {
                s.SetIrqs(device, index, None);
                s.SetIrqs(device, index, None | Mask | Unmask);
                s.SetIrqs(device, index, None | Mask | Trigger);
                s.SetIrqs(device, index, None | Mask | Unmask | Trigger);
            }
        }),
        new("msix-that-is-not-there", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msix, None | Trigger, count: 0);
            s.SetIrqs(device, Msix, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msix, None | Trigger);
        }),
        new("off", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint index in (uint[])[Intx, Msi, Error, Request])
            {
                foreach (uint action in (uint[])[Mask, Unmask, Trigger])
                {
                    s.SetIrqs(device, index, None | action, count: 0);
                    s.SetIrqs(device, index, None | action);
                    s.SetIrqs(device, index, Bool | action, count: 0, booleans: []);
                    s.SetIrqs(device, index, Bool | action, booleans: [1]);
                }
            }
        }),
        new("intx-bad-descriptors", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [999]);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [s.MemFd(4096)]);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [device]);
            s.SetIrqs(device, Intx, EventFd | Trigger, count: 0, descriptors: []);
            int eventFd = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [999]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.Expect(eventFd);
        }),
        new("intx-loopback", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.Expect(eventFd);
            s.SetIrqs(device, Intx, Bool | Trigger, booleans: [0]);
            s.ExpectNone(eventFd);
            s.SetIrqs(device, Intx, Bool | Trigger, booleans: [1]);
            s.Expect(eventFd);
            s.SetIrqs(device, Intx, None | Trigger, count: 0);
            s.SetIrqs(device, Intx, None | Trigger);
            s.ExpectNone(eventFd);
        }),
        new("intx-trigger-replaced", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int first = s.EventFd();
            int second = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [first]);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [second]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.Expect(second);
            s.ExpectNone(first);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [-1]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.ExpectNone(second);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [first]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.Expect(first);
        }),
        new("intx-without-trigger", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [-1]);
            s.SetIrqs(device, Intx, None | Mask);
            s.SetIrqs(device, Intx, None | Unmask);
            s.SetIrqs(device, Intx, None | Trigger, count: 0);
        }),
        new("intx-mask", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, None | Mask);
            s.SetIrqs(device, Intx, None | Mask);
            s.SetIrqs(device, Intx, Bool | Mask, booleans: [1]);
            s.SetIrqs(device, Intx, EventFd | Mask, descriptors: [s.EventFd()]);
            s.SetIrqs(device, Intx, None | Mask, count: 0);
            s.SetIrqs(device, Intx, None | Unmask);
            s.SetIrqs(device, Intx, Bool | Unmask, booleans: [0]);
            s.SetIrqs(device, Intx, Bool | Unmask, booleans: [1]);
            s.SetIrqs(device, Intx, None | Unmask, count: 0);
            s.ExpectNone(eventFd);
        }),
        new("intx-from-the-device", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 4);
            s.Expect(eventFd);
            s.ExpectNone(eventFd);
            s.SetIrqs(device, Intx, None | Unmask);
            s.Expect(eventFd);
            s.Load(device, PciRegion.Bar0, Edu.InterruptStatus, 4);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 4);
            s.SetIrqs(device, Intx, None | Unmask);
            s.ExpectNone(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 1);
            s.Expect(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 1);
        }),
        new("intx-masked-in-config", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.Store(device, PciRegion.Config, 4, 2, 0x402);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, None | Trigger);
            s.ExpectNone(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 4);
            s.ExpectNone(eventFd);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.Expect(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 4);
        }),
        new("intx-unmask-by-eventfd", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            int unmask = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [unmask]);
            s.Store(device, PciRegion.Config, 4, 2, 2);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [999]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [s.MemFd(4096)]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [unmask]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [s.EventFd()]);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 4);
            s.Expect(eventFd);
            s.Signal(unmask);
            s.Expect(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 4);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [-1]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [-1]);
            s.SetIrqs(device, Intx, EventFd | Unmask, descriptors: [unmask]);
        }),
        new("msi-loopback", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, None | Trigger);
            s.Expect(eventFd);
            s.SetIrqs(device, Msi, Bool | Trigger, booleans: [0]);
            s.ExpectNone(eventFd);
            s.SetIrqs(device, Msi, Bool | Trigger, booleans: [1]);
            s.Expect(eventFd);
            s.SetIrqs(device, Msi, Bool | Trigger, count: 0, booleans: []);
            s.SetIrqs(device, Msi, EventFd | Trigger, count: 0, descriptors: []);
            s.SetIrqs(device, Msi, None | Trigger);
            s.Expect(eventFd);
            s.SetIrqs(device, Msi, None | Trigger, count: 0);
            s.SetIrqs(device, Msi, None | Trigger);
        }),
        new("msi-masks", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, None | Mask);
            s.SetIrqs(device, Msi, None | Unmask);
            s.SetIrqs(device, Msi, EventFd | Unmask, descriptors: [eventFd]);
        }),
        new("msi-bad-descriptors", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [999]);
            s.SetIrqs(device, Msi, None | Trigger);
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [s.MemFd(4096)]);
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [-2]);
            s.SetIrqs(device, Msi, None | Trigger);
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [999]);
            s.SetIrqs(device, Msi, None | Trigger);
            s.ExpectNone(eventFd);
        }),
        new("msi-without-eventfd", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [-1]);
            s.SetIrqs(device, Msi, None | Trigger);
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, None | Trigger);
            s.Expect(eventFd);
        }),
        new("msi-of-no-vectors", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.SetIrqs(device, Msi, EventFd | Trigger, count: 0, descriptors: []);
            s.SetIrqs(device, Msi, None | Trigger);
            s.SetIrqs(device, Msi, EventFd | Trigger, count: 2, descriptors: [-1, -1]);
            s.SetIrqs(device, Msi, EventFd | Trigger, start: 1, descriptors: [-1]);
        }),
        new("msi-from-the-device", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            Edu.EnableBusMaster(s, device);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 4);
            s.Expect(eventFd);
            s.Store(device, PciRegion.Bar0, Edu.Raise, 4, 1);
            s.Expect(eventFd);
            s.Load(device, PciRegion.Bar0, Edu.InterruptStatus, 4);
            s.Store(device, PciRegion.Bar0, Edu.Acknowledge, 4, 5);
            s.ExpectNone(eventFd);
        }),
        new("msi-enable-bit-in-config", static s =>
        {
            (_, _, int device) = s.OpenType1();
            ulong at = s.Load(device, PciRegion.Config, 0x34, 1);
            s.Store(device, PciRegion.Config, at + 2, 2, 1);
            s.Load(device, PciRegion.Config, at + 2, 2);
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.Load(device, PciRegion.Config, at + 2, 2);
            s.Store(device, PciRegion.Config, at + 2, 2, 1);
            s.Load(device, PciRegion.Config, at + 2, 2);
            s.Store(device, PciRegion.Config, at + 2, 2, 0);
            s.Load(device, PciRegion.Config, at + 2, 2);
            s.SetIrqs(device, Msi, None | Trigger, count: 0);
            s.Load(device, PciRegion.Config, at + 2, 2);
        }),
        new("intx-and-msi-exclude-each-other", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Msi, None | Trigger);
            s.SetIrqs(device, Msi, None | Trigger, count: 0);
            s.SetIrqs(device, Intx, None | Trigger);
            s.SetIrqs(device, Intx, None | Trigger, count: 0);
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Intx, None | Trigger, count: 0);
            s.SetIrqs(device, Intx, None | Mask);
            s.SetIrqs(device, Msi, None | Trigger);
        }),
        new("error-and-request", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint index in (uint[])[Error, Request])
            {
                int eventFd = s.EventFd();
                s.SetIrqs(device, index, None | Trigger);
                s.SetIrqs(device, index, EventFd | Trigger, descriptors: [eventFd]);
                s.SetIrqs(device, index, None | Trigger);
                s.Expect(eventFd);
                s.SetIrqs(device, index, Bool | Trigger, booleans: [1]);
                s.Expect(eventFd);
                s.SetIrqs(device, index, Bool | Trigger, booleans: [0]);
                s.ExpectNone(eventFd);
                s.SetIrqs(device, index, Bool | Trigger, count: 0, booleans: []);
                s.SetIrqs(device, index, EventFd | Trigger, count: 0, descriptors: []);
                s.SetIrqs(device, index, EventFd | Trigger, descriptors: [-2]);
                s.SetIrqs(device, index, EventFd | Trigger, descriptors: [999]);
                s.SetIrqs(device, index, None | Trigger);
                s.Expect(eventFd);
                s.SetIrqs(device, index, EventFd | Trigger, descriptors: [-1]);
                s.SetIrqs(device, index, None | Trigger);
                s.SetIrqs(device, index, EventFd | Trigger, descriptors: [eventFd]);
                s.SetIrqs(device, index, None | Trigger, count: 0);
                s.SetIrqs(device, index, None | Trigger);
                s.SetIrqs(device, index, None | Trigger, start: 1);
                s.SetIrqs(device, index, None | Trigger, count: 2);
            }
        }),
        new("close-forgets", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(device, Request, EventFd | Trigger, descriptors: [eventFd]);
            s.Close(device);
            int again = s.DeviceOf(group);
            s.SetIrqs(again, Msi, None | Trigger);
            s.SetIrqs(again, Request, None | Trigger);
            s.ExpectNone(eventFd);
            s.SetIrqs(again, Intx, EventFd | Trigger, descriptors: [eventFd]);
        }),
        new("two-files-share-interrupts", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            int again = s.DeviceOf(group);
            int eventFd = s.EventFd();
            s.SetIrqs(device, Msi, EventFd | Trigger, descriptors: [eventFd]);
            s.SetIrqs(again, Msi, None | Trigger);
            s.Expect(eventFd);
            s.Close(device);
            s.SetIrqs(again, Msi, None | Trigger);
            s.Expect(eventFd);
        }),
    ]);
}
