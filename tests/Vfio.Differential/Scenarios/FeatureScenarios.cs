using System.Runtime.InteropServices;
using Vfio.Abi;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>VFIO_DEVICE_FEATURE (spec vfio-core §5.12).</summary>
internal static class FeatureScenarios
{
    private const uint Get = VFIO_DEVICE_FEATURE_GET;
    private const uint Set = VFIO_DEVICE_FEATURE_SET;
    private const uint Probe = VFIO_DEVICE_FEATURE_PROBE;

    public static Subject Subject { get; } = new("feature",
    [
        new("arguments", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.BadPointer(device, VFIO_DEVICE_FEATURE);
            s.Cut(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Probe | 5 }, 7);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { argsz = 7, flags = Probe | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = 0x80000 | Probe | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = 0x80000000 | Probe | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | Set | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | Set | Probe | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = 5 });
        }),
        .. Enumerable.Range(0, 15).Append(0xFFFF).Select(static index => new Scenario($"index-{index}", s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (uint operation in (uint[])[Probe, Probe | Get, Probe | Set, Probe | Get | Set, 0])
            {
                s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = operation | (uint)index });
            }

            // Whether it wants data; low power is entered elsewhere.
            if (index is not (3 or 4))
            {
                s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | (uint)index });
                s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | (uint)index });
            }
        })),
        new("vf-token-of-no-physical-function", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set }, new byte[16]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get }, new byte[16]);
        }),
        new("migration-that-is-not-there", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | 1 }, new byte[8]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | 2 }, new byte[8]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 2 }, new byte[8]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 6 }, new byte[24]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 7 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | 8 }, new byte[32]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Get | 9 }, new byte[8]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 12 });
        }),
        new("low-power", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 }, new byte[8]);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 }, new byte[8]);
        }),
        new("low-power-ends-with-close", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 });
            s.Close(device);
            int again = s.DeviceOf(group);
            s.Ioctl(again, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 });
            s.Ioctl(again, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 });
        }),
        new("low-power-with-wakeup", static s =>
        {
            (_, _, int device) = s.OpenType1();
            int eventFd = s.EventFd();
            int memfd = s.MemFd(4096);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 4 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 4 }, new byte[7]);
            foreach (int descriptor in (int[])[-1, -2, 999, memfd])
            {
                Wakeup(s, device, descriptor);
            }

            Wakeup(s, device, eventFd);
            Wakeup(s, device, eventFd);
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 3 });
            s.Ioctl(device, VFIO_DEVICE_FEATURE, new vfio_device_feature { flags = Set | 5 });
        }),
        new("dma-buf", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Store(device, PciRegion.Config, 4, 2, 2);
            DmaBuf(s, device, 0, 0, 4096);
        }),
    ]);

    private static void Wakeup(Session s, int device, int descriptor)
        => s.Ioctl(device, VFIO_DEVICE_FEATURE, new WakeupFeature
        {
            feature = new vfio_device_feature { flags = Set | 4 },
            entry = new vfio_device_low_power_entry_with_wakeup { wakeup_eventfd = descriptor },
        });

    private static void DmaBuf(Session s, int device, uint region, ulong offset, ulong length)
        => s.IoctlDescriptor(device, VFIO_DEVICE_FEATURE, new DmaBufFeature
        {
            feature = new vfio_device_feature { flags = Get | 11 },
            buffer = new vfio_device_feature_dma_buf { region_index = region, nr_ranges = 1 },
            range = new vfio_region_dma_range { offset = offset, length = length },
        });

    [StructLayout(LayoutKind.Sequential)]
    private struct WakeupFeature
    {
        public vfio_device_feature feature;
        public vfio_device_low_power_entry_with_wakeup entry;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct DmaBufFeature
    {
        public vfio_device_feature feature;
        public vfio_device_feature_dma_buf buffer;
        public vfio_region_dma_range range;
    }
}
