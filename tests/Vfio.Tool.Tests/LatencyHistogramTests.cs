using Vfio.Tool.Output;

namespace Vfio.Tool.Tests;

public sealed class LatencyHistogramTests
{
    [Theory]
    [InlineData(0L)]
    [InlineData(1L)]
    [InlineData(127L)]
    [InlineData(128L)]
    [InlineData(1_000_003L)]
    [InlineData(long.MaxValue)]
    public void Percentile_of_one_value_is_that_value(long value)
    {
        LatencyHistogram histogram = new();
        histogram.Add(value);
        Assert.Equal((1, value), (histogram.Count, histogram.Maximum));
        Assert.Equal(value, histogram.Percentile(0.5));
    }

    [Fact]
    public void Percentile_of_many_values_is_within_a_64th()
    {
        LatencyHistogram even = new();
        LatencyHistogram all = new();
        for (long value = 1; value <= 100_000; value++)
        {
            (value % 2 == 0 ? even : all).Add(value * 10);
        }

        all.Add(even);
        foreach (double share in (double[])[0.01, 0.5, 0.9, 0.99, 0.999, 1])
        {
            double exact = 1_000_000 * share;
            Assert.InRange(all.Percentile(share), exact, exact * (1 + (1 / 64.0)));
        }

        Assert.Equal((100_000, 1_000_000), (all.Count, all.Maximum));
        Assert.Equal(0, new LatencyHistogram().Percentile(0.5));
    }
}
