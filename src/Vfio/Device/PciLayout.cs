namespace Vfio;

/// <summary>How a PCI device's regions lie in its device file: each index has 2⁴⁰ bytes (<c>VFIO_PCI_OFFSET_SHIFT</c>).</summary>
public static class PciLayout
{
    /// <summary>Number of region indices, BAR0 to VGA.</summary>
    public const uint RegionCount = 9;

    /// <summary>Number of interrupt indices, INTx to REQ.</summary>
    public const uint InterruptCount = 5;

    /// <summary>log₂ of the space of one region in the device file.</summary>
    public const int PositionShift = 40;

    /// <summary>The position in the device file of an offset in a region.</summary>
    /// <param name="region">The region index.</param>
    /// <param name="offset">The offset in bytes.</param>
    /// <returns>The position.</returns>
    public static ulong Position(uint region, ulong offset = 0) => ((ulong)region << PositionShift) + offset;

    /// <summary>The region index of a position.</summary>
    /// <param name="position">A position in the device file.</param>
    /// <returns>The index; not checked against <see cref="RegionCount"/>.</returns>
    public static uint Region(ulong position) => (uint)(position >> PositionShift);

    /// <summary>The offset in its region of a position.</summary>
    /// <param name="position">A position in the device file.</param>
    /// <returns>The offset in bytes.</returns>
    public static ulong Offset(ulong position) => position & ((1UL << PositionShift) - 1);
}
