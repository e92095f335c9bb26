namespace Vfio.TestUtilities;

/// <summary>Counts the bytes that the current thread allocates on the managed heap.</summary>
public static class AllocationMeter
{
    /// <summary>Runs the action a few times to warm up (JIT, caches, lazily made objects) and then measures it.</summary>
    /// <param name="action">What to measure. Use a delegate that captures nothing that would be allocated per run.</param>
    /// <param name="iterations">How many measured runs.</param>
    /// <param name="warmup">How many runs before the measurement.</param>
    /// <returns>Bytes allocated by all measured runs together.</returns>
    public static long Measure(Action action, int iterations = 1000, int warmup = 100)
    {
        ArgumentNullException.ThrowIfNull(action);
        for (int i = 0; i < warmup; i++)
        {
            action();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < iterations; i++)
        {
            action();
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
