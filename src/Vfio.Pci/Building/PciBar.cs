namespace Vfio.Pci;

/// <summary>A BAR as it was built: constant while the device lives.</summary>
internal sealed class PciBar
{
    public required int Index { get; init; }

    public required PciBarKind Kind { get; init; }

    public required bool Prefetchable { get; init; }

    public required ulong Size { get; init; }

    /// <summary>Overlays first, then by offset.</summary>
    public required BarArea[] Areas { get; init; }

    /// <summary>By offset.</summary>
    public required PciDoorbell[] Doorbells { get; init; }

    /// <summary>The mappable areas, by offset.</summary>
    public required BarArea[] Mappable { get; init; }

    public bool HoldsMsixTable { get; init; }

    public bool IsWhollyMappable => Mappable.Length == 1 && Mappable[0].Offset == 0 && Mappable[0].Length == Size;

    public BarArea? Find(ulong offset)
    {
        foreach (BarArea area in Areas)
        {
            if (offset - area.Offset < area.Length && offset >= area.Offset)
            {
                return area;
            }
        }

        return null;
    }

    /// <summary>The doorbell that a write rings, if any.</summary>
    public PciDoorbell? FindDoorbell(ulong offset, int width, ulong value)
    {
        PciDoorbell[] bells = Doorbells;
        int low = 0;
        int high = bells.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (bells[middle].Offset < offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        for (; low < bells.Length && bells[low].Offset == offset; low++)
        {
            PciDoorbell bell = bells[low];
            if ((bell.Width == 0 || bell.Width == width) && (bell.DataMatch is not { } match || match == value))
            {
                return bell;
            }
        }

        return null;
    }
}
