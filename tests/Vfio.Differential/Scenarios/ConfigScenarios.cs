namespace Vfio.Differential;

/// <summary>Configuration space as vfio-pci shows it (spec vfio-core §5.13).</summary>
internal static class ConfigScenarios
{
    private const int Command = 0x04;
    private const int Status = 0x06;
    private const int CapabilityPointer = 0x34;

    public static Subject Subject { get; } = new("config",
    [
        new("header", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (int offset in (int[])[0x00, 0x02, 0x06, 0x08, 0x0A, 0x0C, 0x0E, 0x28, 0x2C, 0x2E, 0x34, 0x38, 0x3E])
            {
                s.Load(device, PciRegion.Config, (ulong)offset, 2);
            }

            s.Load(device, PciRegion.Config, 0x3D, 1);
        }),
        new("ids-are-read-only", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (int offset in (int[])[0x00, 0x02, 0x08, 0x0A, 0x0E, 0x2C, 0x2E, 0x34])
            {
                Change(s, device, offset, 2, 0xFFFF);
            }
        }),
        new("command-bits", static s =>
        {
            (_, _, int device) = s.OpenType1();
            foreach (ulong value in (ulong[])[0, 1, 2, 4, 0x400, 0xFFFF, 0x406, 0])
            {
                Change(s, device, Command, 2, value);
            }
        }),
        new("command-by-bytes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Change(s, device, Command, 2, 0);
            Change(s, device, Command, 1, 6);
            Change(s, device, Command + 1, 1, 4);
            s.Load(device, PciRegion.Config, Command, 2);
            Change(s, device, Command, 4, 0xFFFF0000);
            s.Load(device, PciRegion.Config, Status, 2);
        }),
        new("status-is-read-only", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Change(s, device, Status, 2, 0xFFFF);
        }),
        new("cache-line-latency-bist", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Change(s, device, 0x0C, 1, 0xFF);
            Change(s, device, 0x0C, 1, 0);
            Change(s, device, 0x0D, 1, 0xFF);
            Change(s, device, 0x0F, 1, 0xFF);
        }),
        new("bar-sizing", static s =>
        {
            (_, _, int device) = s.OpenType1();
            for (int bar = 0x10; bar <= 0x24; bar += 4)
            {
                s.Store(device, PciRegion.Config, (ulong)bar, 4, 0xFFFFFFFF);
                s.Load(device, PciRegion.Config, (ulong)bar, 4);
                s.Store(device, PciRegion.Config, (ulong)bar, 4, 0);
                s.Load(device, PciRegion.Config, (ulong)bar, 4);
            }
        }),
        new("bar-by-bytes", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Store(device, PciRegion.Config, 0x10, 4, 0xFFFFFFFF);
            s.Store(device, PciRegion.Config, 0x12, 2, 0xABC0);
            s.Load(device, PciRegion.Config, 0x10, 4);
            s.Store(device, PciRegion.Config, 0x13, 1, 0x12);
            s.Load(device, PciRegion.Config, 0x10, 4);
            s.Store(device, PciRegion.Config, 0x10, 1, 0xFF);
            s.Load(device, PciRegion.Config, 0x10, 4);
        }),
        new("rom-bar", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Change(s, device, 0x30, 4, 0xFFFFFFFF);
            Change(s, device, 0x30, 4, 0xFFFFFFFE);
            Change(s, device, 0x30, 4, 0);
        }),
        new("interrupt-line-and-pin", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Load(device, PciRegion.Config, 0x3D, 1);
            Change(s, device, 0x3C, 1, 0x55);
            Change(s, device, 0x3D, 1, 2);
            Change(s, device, 0x3E, 2, 0xFFFF);
        }),
        new("capabilities", static s =>
        {
            (_, _, int device) = s.OpenType1();
            ulong at = s.Load(device, PciRegion.Config, CapabilityPointer, 1);
            for (int i = 0; i < 8 && at != 0; i++)
            {
                s.Load(device, PciRegion.Config, at, 4);
                at = s.Load(device, PciRegion.Config, at + 1, 1);
            }
        }),
        new("msi-registers", static s =>
        {
            (_, _, int device) = s.OpenType1();
            ulong at = s.Load(device, PciRegion.Config, CapabilityPointer, 1);
            Change(s, device, (int)at, 2, 0xFFFF);
            Change(s, device, (int)at + 2, 2, 0xFFFF);
            Change(s, device, (int)at + 2, 2, 0x0001);
            Change(s, device, (int)at + 2, 2, 0);
            Change(s, device, (int)at + 4, 4, 0xFFFFFFFF);
            Change(s, device, (int)at + 8, 4, 0xFFFFFFFF);
            Change(s, device, (int)at + 12, 2, 0xFFFF);
            Change(s, device, (int)at + 4, 4, 0);
            Change(s, device, (int)at + 8, 4, 0);
            Change(s, device, (int)at + 12, 2, 0);
        }),
        new("bytes-outside-capabilities", static s =>
        {
            (_, _, int device) = s.OpenType1();
            Change(s, device, 0x50, 4, 0xFFFFFFFF);
            Change(s, device, 0xF0, 4, 0xFFFFFFFF);
        }),
        new("unaligned-and-long-accesses", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Load(device, PciRegion.Config, 0x01, 2);
            s.Load(device, PciRegion.Config, 0x2D, 2);
            s.Load(device, PciRegion.Config, 0x09, 4);
            s.Load(device, PciRegion.Config, 0x28, 8);
            s.ReadAt(device, PciLayout.Position(7), 16, shown: 4);
            s.ReadAt(device, PciLayout.Position(7), 256);
        }),
        new("close-restores", static s =>
        {
            (_, int group, int device) = s.OpenType1();
            Change(s, device, 0x3C, 1, 0x77);
            s.Store(device, PciRegion.Config, 0x10, 4, 0x12300000);
            s.Store(device, PciRegion.Config, Command, 2, 0x406);
            s.Close(device);
            int again = s.DeviceOf(group);
            s.Load(again, PciRegion.Config, Command, 2);
            s.Store(again, PciRegion.Config, Command, 2, 2);
            s.Load(again, PciRegion.Bar0, Edu.Identification, 4);
        }),
    ]);

    private static void Change(Session s, int device, int offset, int width, ulong value)
    {
        s.Store(device, PciRegion.Config, (ulong)offset, width, value & (ulong.MaxValue >> (64 - (8 * width))));
        s.Load(device, PciRegion.Config, (ulong)offset, width);
    }
}
