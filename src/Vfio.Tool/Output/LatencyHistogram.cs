using System.Numerics;

namespace Vfio.Tool.Output;

/// <summary>Latencies in nanoseconds, within 1/64 of each: recording allocates nothing.</summary>
internal sealed class LatencyHistogram
{
    private const int Bits = 6;
    private readonly long[] _counts = new long[(64 - Bits) << Bits];

    public long Count { get; private set; }

    public long Maximum { get; private set; }

    public void Add(long nanoseconds)
    {
        _counts[IndexOf(nanoseconds)]++;
        Count++;
        Maximum = Math.Max(Maximum, nanoseconds);
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }

        Count += other.Count;
        Maximum = Math.Max(Maximum, other.Maximum);
    }

    /// <summary>The latency that a share of all does not exceed, in nanoseconds.</summary>
    public long Percentile(double share)
    {
        long left = (long)Math.Ceiling(Count * share);
        for (int i = 0; i < _counts.Length; i++)
        {
            left -= _counts[i];
            if (left <= 0 && Count > 0)
            {
                return Math.Min(Maximum, UpperBound(i));
            }
        }

        return Maximum;
    }

    private static int IndexOf(long value)
    {
        ulong positive = (ulong)Math.Max(value, 0);
        int shift = Math.Max(0, BitOperations.Log2(positive | 1) - Bits);
        return (shift << Bits) + (int)(positive >> shift);
    }

    private static long UpperBound(int index)
    {
        int shift = Math.Max(0, (index >> Bits) - 1);
        return ((index - ((long)shift << Bits) + 1) << shift) - 1;
    }
}
