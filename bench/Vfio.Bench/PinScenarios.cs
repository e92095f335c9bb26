using Vfio.Iommu;

namespace Vfio.Bench;

/// <summary>Leases on memory.</summary>
internal static class PinScenarios
{
    private const string Pin = "pin+unpin, pages";

    public static void Run(Meter meter)
    {
        if (!meter.Wants(Pin))
        {
            return;
        }

        using AddressSpace space = new(1024);
        space.Map(0, 512);
        foreach (ulong pages in (ulong[])[1, 512])
        {
            meter.Measure(Pin, (long)pages, count =>
            {
                for (int i = 0; i < count; i++)
                {
                    AddressSpace.Ensure(space.Access.TryPin(0, pages * AddressSpace.PageSize, DmaAccess.ReadWrite, out DmaPin? pin));
                    pin!.Dispose();
                }
            });
        }
    }
}
