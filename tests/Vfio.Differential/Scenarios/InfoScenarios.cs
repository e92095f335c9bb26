using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>What a device says of itself, its regions and interrupts (spec vfio-core §5.5–§5.7, §5.9).</summary>
internal static class InfoScenarios
{
    public static Subject Subject { get; } = new("info",
    [
        new("device-info", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info), new byte[64]);
        }),
        new("device-info-of-resettable", static s =>
        {
            (_, _, int device) = s.OpenType1(Target.B);
            s.Ioctl(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info), new byte[64]);
        }),
        new("device-info-sizes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint argsz in (uint[])[1, 15, 16, 19, 20, 23, 24, 25, 4096])
            {
                s.Ioctl(device, VFIO_DEVICE_GET_INFO, new vfio_device_info { argsz = argsz, flags = uint.MaxValue, num_regions = 77, cap_offset = 88, pad = 99 });
            }

            s.BadPointer(device, VFIO_DEVICE_GET_INFO);
            s.Cut(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info), 15);
            s.Cut(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info), 16);
            s.ReadOnly(device, VFIO_DEVICE_GET_INFO, default(vfio_device_info));
        }),
        .. Enumerable.Range(0, 9).Select(static index => new Scenario($"region-{((PciRegion)index).ToString().ToLowerInvariant()}", s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = (uint)index, flags = uint.MaxValue, cap_offset = 77 }, new byte[64]);
        })),
        new("region-indexes-beyond", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint index in (uint[])[9, 10, 100, uint.MaxValue])
            {
                s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = index });
            }
        }),
        new("region-sizes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint argsz in (uint[])[1, 16, 31, 33, 4096])
            {
                s.Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { argsz = argsz, index = 7 });
            }

            s.BadPointer(device, VFIO_DEVICE_GET_REGION_INFO);
            s.Cut(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = 7 }, 31);
            s.ReadOnly(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = 7 });
            s.ReadOnly(device, VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = 100 });
        }),
        .. Enumerable.Range(0, 5).Select(static index => new Scenario($"irq-{((PciInterrupt)index).ToString().ToLowerInvariant()}", s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { index = (uint)index, flags = uint.MaxValue, count = 77 });
        })),
        new("irq-sizes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint index in (uint[])[5, 6, uint.MaxValue])
            {
                s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { index = index });
            }

            s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { argsz = 15 });
            s.Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { argsz = 4096 });
            s.BadPointer(device, VFIO_DEVICE_GET_IRQ_INFO);
            s.Cut(device, VFIO_DEVICE_GET_IRQ_INFO, default(vfio_irq_info), 15);
            s.ReadOnly(device, VFIO_DEVICE_GET_IRQ_INFO, default(vfio_irq_info));
        }),
        new("unknown-commands", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Value(device, VFIO_GET_API_VERSION);
            s.Value(device, VFIO_SET_IOMMU, 1);
            s.Value(device, VFIO_GROUP_GET_STATUS);
            s.Value(device, VFIO_DEVICE_QUERY_GFX_PLANE);
            s.Value(device, VFIO_DEVICE_GET_GFX_DMABUF);
            s.Value(device, VFIO_MIG_GET_PRECOPY_INFO);
            s.Value(device, 0);
            s.Value(device, 0x3B7A, name: "VFIO_BASE+22");
            s.Poll(device);
        }),
    ]);
}
