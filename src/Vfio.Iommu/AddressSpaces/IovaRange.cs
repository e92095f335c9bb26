namespace Vfio.Iommu;

/// <summary>A range of I/O virtual addresses, both ends inclusive, never empty and never wrapping.</summary>
public readonly record struct IovaRange
{
    private IovaRange(ulong start, ulong last)
    {
        Start = start;
        Last = last;
    }

    /// <summary>The whole address space.</summary>
    public static IovaRange All => new(0, ulong.MaxValue);

    /// <summary>First address.</summary>
    public ulong Start { get; }

    /// <summary>Last address.</summary>
    public ulong Last { get; }

    /// <summary>Length in bytes; the whole space, whose length is 2⁶⁴, answers <see cref="ulong.MaxValue"/>.</summary>
    public ulong Length => Last - Start == ulong.MaxValue ? ulong.MaxValue : Last - Start + 1;

    /// <summary>Makes a range from a start and a length.</summary>
    /// <param name="start">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="range">The range.</param>
    /// <returns>False when the length is 0 or the range would pass 2⁶⁴.</returns>
    public static bool TryCreate(ulong start, ulong length, out IovaRange range)
    {
        ulong last = unchecked(start + length - 1);
        if (length == 0 || last < start)
        {
            range = default;
            return false;
        }

        range = new IovaRange(start, last);
        return true;
    }

    /// <summary>Makes a range from its two ends.</summary>
    /// <param name="start">First address.</param>
    /// <param name="last">Last address.</param>
    /// <param name="range">The range.</param>
    /// <returns>False when the ends are in the wrong order.</returns>
    public static bool TryCreateInclusive(ulong start, ulong last, out IovaRange range)
    {
        range = last < start ? default : new IovaRange(start, last);
        return last >= start;
    }

    /// <summary>Whether an address lies inside.</summary>
    /// <param name="iova">The address.</param>
    /// <returns>True when it does.</returns>
    public bool Contains(ulong iova) => iova >= Start && iova <= Last;

    /// <summary>Whether another range lies wholly inside.</summary>
    /// <param name="other">The other range.</param>
    /// <returns>True when it does.</returns>
    public bool Contains(IovaRange other) => other.Start >= Start && other.Last <= Last;

    /// <summary>Whether two ranges share an address.</summary>
    /// <param name="other">The other range.</param>
    /// <returns>True when they do.</returns>
    public bool Overlaps(IovaRange other) => other.Start <= Last && Start <= other.Last;

    /// <inheritdoc/>
    public override string ToString() => $"[0x{Start:x}, 0x{Last:x}]";
}
