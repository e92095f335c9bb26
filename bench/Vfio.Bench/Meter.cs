using System.Diagnostics;

namespace Vfio.Bench;

/// <summary>
/// Measures operations one after another: many short samples of each, in processor time of this process, so that the fastest ones tell
/// the operation's own time also on a machine that others use.
/// </summary>
/// <param name="options">How long to measure, and what.</param>
internal sealed class Meter(MeterOptions options)
{
    private readonly List<Measurement> _measurements = [];

    public IReadOnlyList<Measurement> Measurements => _measurements;

    /// <summary>Whether any of a scenario's operations is wanted, so that its preparation is worth it.</summary>
    public bool Wants(params string[] names) => Array.Exists(names, name => name.Contains(options.Filter, StringComparison.OrdinalIgnoreCase));

    /// <summary>Measures one operation and prints its line.</summary>
    /// <param name="name">The operation.</param>
    /// <param name="size">See <see cref="Measurement.Size"/>.</param>
    /// <param name="run">Runs the operation as many times as it is told.</param>
    /// <param name="operations">As how many operations one time counts.</param>
    /// <param name="elapsed">Whether to measure elapsed time: other threads of the process are busy meanwhile.</param>
    public void Measure(string name, long size, Action<int> run, int operations = 1, bool elapsed = false)
    {
        if (!Wants(name))
        {
            return;
        }

        int count = WarmUp(run);
        double[] samples = new double[options.Samples];
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < samples.Length; i++)
        {
            TimeSpan started = Now(elapsed);
            run(count);
            samples[i] = (Now(elapsed) - started).TotalNanoseconds / ((double)count * operations);
        }

        double allocated = (GC.GetAllocatedBytesForCurrentThread() - before) / ((double)count * operations * samples.Length);
        Array.Sort(samples);
        Measurement measurement = new(name, size, samples[0], samples[samples.Length / 2], samples[^1], allocated, samples.Length, (long)count * operations);
        _measurements.Add(measurement);
        Report.Print(measurement);
    }

    private static TimeSpan Now(bool elapsed) => elapsed ? Stopwatch.GetElapsedTime(0) : Environment.CpuUsage.TotalTime;

    /// <summary>Runs until the compiler has done what it will, and finds how many operations take as long as a sample should.</summary>
    private int WarmUp(Action<int> run)
    {
        int count = 1;
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            long from = Stopwatch.GetTimestamp();
            run(count);
            TimeSpan took = Stopwatch.GetElapsedTime(from);
            if (took < options.SampleTime / 2)
            {
                count = count > int.MaxValue / 2 ? int.MaxValue : count * 2;
            }
            else if (took > options.SampleTime * 2 && count > 1)
            {
                count /= 2;
            }
            else if (Stopwatch.GetElapsedTime(started) >= options.WarmUpTime)
            {
                return count;
            }
        }
    }
}
