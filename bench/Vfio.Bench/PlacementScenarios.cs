namespace Vfio.Bench;

/// <summary>Automatic placement, with as many areas before the first gap that fits.</summary>
internal static class PlacementScenarios
{
    private const string Behind = "place+unmap, behind all";
    private const string Beyond = "place+unmap, gaps too small";

    public static void Run(Meter meter)
    {
        foreach (int areas in (int[])[1, 1024, 65_536])
        {
            if (meter.Wants(Behind))
            {
                using AddressSpace space = new(0);
                for (int i = 0; i < areas; i++)
                {
                    space.MapAnywhere(1);
                }

                Measure(meter, Behind, space, areas, pages: 1);
            }

            if (meter.Wants(Beyond))
            {
                // Nothing is free below the first area, and less than what is asked for between any two.
                using AddressSpace space = new(areas);
                space.Map(0, AddressSpace.First / AddressSpace.PageSize / 1024);
                Measure(meter, Beyond, space, areas, pages: 4);
            }
        }
    }

    private static void Measure(Meter meter, string name, AddressSpace space, int areas, ulong pages)
        => meter.Measure(name, areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                space.Unmap(space.MapAnywhere(pages), pages);
            }
        });
}
