using Vfio.Iommu;

namespace Vfio;

/// <summary>Helps devices that can log only a few ranges.</summary>
public static class DirtyLogRanges
{
    /// <summary>Makes fewer ranges that cover the same addresses, by closing the smallest gaps first, the lower one of equals.</summary>
    /// <param name="ranges">Sorted and apart, as <see cref="IVfioDirtyLog.Start"/> gets them.</param>
    /// <param name="wanted">The most ranges to be left, at least 1.</param>
    /// <returns>At most <paramref name="wanted"/> ranges, sorted and apart.</returns>
    /// <remarks><c>vfio_combine_iova_ranges</c>; spec vfio-core §5.12.</remarks>
    public static IovaRange[] Combine(ReadOnlySpan<IovaRange> ranges, int wanted)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(wanted, 1);
        List<IovaRange> left = [.. ranges];
        while (left.Count > wanted)
        {
            int closest = 1;
            for (int i = 2; i < left.Count; i++)
            {
                if (left[i].Start - left[i - 1].Last < left[closest].Start - left[closest - 1].Last)
                {
                    closest = i;
                }
            }

            _ = IovaRange.TryCreateInclusive(left[closest - 1].Start, left[closest].Last, out IovaRange joined);
            left[closest - 1] = joined;
            left.RemoveAt(closest);
        }

        return [.. left];
    }
}
