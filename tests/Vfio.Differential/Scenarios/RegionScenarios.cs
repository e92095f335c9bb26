using Vfio.Linux;
using static Vfio.Abi.VfioUapi;

namespace Vfio.Differential;

/// <summary>Accesses to regions and mappings of them (spec vfio-core §5.8).</summary>
internal static class RegionScenarios
{
    private const ulong BarSize = 0x100000;
    private const int Command = 0x04;

    public static Subject Subject { get; } = new("region",
    [
        new("bar-registers", static s =>
        {
            int device = OpenEnabled(s);
            s.Load(device, PciRegion.Bar0, Edu.Identification, 4);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0x12345678);
            s.Load(device, PciRegion.Bar0, Edu.Liveness, 4);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0);
        }),
        new("bar-limits", static s =>
        {
            int device = OpenEnabled(s);
            s.Load(device, PciRegion.Bar0, BarSize - 4, 4);
            s.ReadAt(device, PciLayout.Position(0, BarSize - 4), 8);
            s.Load(device, PciRegion.Bar0, BarSize, 4);
            s.Load(device, PciRegion.Bar0, BarSize + 1, 1);
            s.Store(device, PciRegion.Bar0, BarSize, 4, 0);
            s.WriteAt(device, PciLayout.Position(0, BarSize - 4), 8);
            s.ReadAt(device, PciLayout.Position(0, (1UL << 40) - 4), 4);
        }),
        new("bar-of-no-bytes", static s =>
        {
            int device = OpenEnabled(s);
            s.ReadAt(device, PciLayout.Position(0), 0);
            s.WriteAt(device, PciLayout.Position(0), 0);
            s.ReadAt(device, PciLayout.Position(0, BarSize), 0);
            s.ReadAt(device, PciLayout.Position(9), 0);
            s.ReadAt(device, PciLayout.Position(100), 0);
        }),
        new("bar-blocks", static s =>
        {
            int device = OpenEnabled(s);
            s.ReadAt(device, PciLayout.Position(0), 4, shown: 4);
            s.ReadAt(device, PciLayout.Position(0), 8, shown: 8);
            s.Store(device, PciRegion.Bar0, Edu.DmaSource, 8, 0x1122334455667788);
            s.Store(device, PciRegion.Bar0, Edu.DmaDestination, 8, 0x99AABBCCDDEEFF00);
            s.ReadAt(device, PciLayout.Position(0, Edu.DmaSource), 16, shown: 16);
            s.ReadAt(device, PciLayout.Position(0, Edu.DmaSource + 4), 8, shown: 8);
        }),
        new("bar-without-memory-decode", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Store(device, PciRegion.Config, Command, 2, 0);
            s.Load(device, PciRegion.Bar0, Edu.Identification, 4);
            s.Store(device, PciRegion.Bar0, Edu.Liveness, 4, 0);
            s.Load(device, PciRegion.Bar0, BarSize, 4);
            s.Store(device, PciRegion.Config, Command, 2, 2);
            s.Load(device, PciRegion.Bar0, Edu.Identification, 4);
        }),
        new("bars-that-are-none", static s =>
        {
            int device = OpenEnabled(s);
            for (uint region = 1; region <= 5; region++)
            {
                s.Load(device, (PciRegion)region, 0, 4);
                s.Store(device, (PciRegion)region, 0, 4, 0);
            }
        }),
        new("rom", static s =>
        {
            int device = OpenEnabled(s);
            s.Load(device, PciRegion.Rom, 0, 4);
            s.Store(device, PciRegion.Rom, 0, 4, 0);
        }),
        new("vga", static s =>
        {
            int device = OpenEnabled(s);
            s.Load(device, PciRegion.Vga, 0xA0000, 4);
            s.Load(device, PciRegion.Vga, 0x3C0, 1);
            s.Store(device, PciRegion.Vga, 0xA0000, 4, 0);
        }),
        new("regions-beyond", static s =>
        {
            int device = OpenEnabled(s);
            foreach (uint region in (uint[])[9, 10, 100, 0x7FFFFF])
            {
                s.ReadAt(device, PciLayout.Position(region), 4);
                s.WriteAt(device, PciLayout.Position(region), 4);
            }
        }),
        new("config-limits", static s =>
        {
            (_, _, int device) = s.OpenType1();
            s.Load(device, PciRegion.Config, 0xFC, 4);
            s.Load(device, PciRegion.Config, 0xFD, 4);
            s.Load(device, PciRegion.Config, 0x100, 4);
            s.Load(device, PciRegion.Config, 0x1000, 4);
            s.ReadAt(device, PciLayout.Position(7, 0xFF), 1);
            s.ReadAt(device, PciLayout.Position(7, 0x100), 1);
            s.ReadAt(device, PciLayout.Position(7), 0x101);
            s.WriteAt(device, PciLayout.Position(7, 0x100), 1);
            s.WriteAt(device, PciLayout.Position(7, 0xFE), 4);
            s.ReadAt(device, PciLayout.Position(7), 0);
            s.ReadAt(device, PciLayout.Position(7, 0x100), 0);
        }),
        new("map-bar", static s =>
        {
            int device = OpenEnabled(s);
            s.Map(device, PciRegion.Bar0);
            s.Map(device, PciRegion.Bar0, length: BarSize);
            s.Map(device, PciRegion.Bar0, BarSize - 0x1000);
            s.Map(device, PciRegion.Bar0, protection: MemoryProtection.Read);
        }),
        new("map-bar-refused", static s =>
        {
            int device = OpenEnabled(s);
            s.Map(device, PciRegion.Bar0, shared: false);
            s.Map(device, PciRegion.Bar0, length: BarSize + 0x1000);
            s.Map(device, PciRegion.Bar0, BarSize);
            s.Map(device, PciRegion.Bar0, BarSize - 0x1000, 0x2000);
        }),
        new("map-others", static s =>
        {
            int device = OpenEnabled(s);
            for (uint region = 1; region <= 10; region++)
            {
                s.Map(device, (PciRegion)region);
            }
        }),
    ]);

    private static int OpenEnabled(Session s)
    {
        (_, _, int device) = s.OpenType1();
        s.Store(device, PciRegion.Config, Command, 2, 2);
        return device;
    }
}
