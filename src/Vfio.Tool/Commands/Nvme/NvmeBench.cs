using System.Diagnostics;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary>The load of a measurement: so many workers, each with one operation at a time.</summary>
internal sealed class NvmeBench(NvmeController controller, NvmeNamespace disk, int length, int depth, int readPercent, bool sequential)
{
    private readonly ulong _blocks = (ulong)(length / disk.BlockSize);
    private long _next;
    private volatile bool _stopping;

    public int Depth => depth;

    public int Length => length;

    public int ReadPercent => readPercent;

    public async Task<NvmeBenchResult> RunAsync(TimeSpan time, CancellationToken cancellationToken)
    {
        using DmaBuffer buffer = controller.AllocateDma((nuint)depth * (nuint)length);
        LatencyHistogram[] latencies = [.. Enumerable.Range(0, depth).Select(static _ => new LatencyHistogram())];
        _stopping = false;
        Task delay = Task.Delay(time, cancellationToken);
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        long started = Stopwatch.GetTimestamp();
        Task workers = Task.WhenAll(latencies.Select((histogram, i) => Task.Run(() => WorkAsync(buffer, (nuint)i * (nuint)length, histogram, new Random(i)), CancellationToken.None)));
        await Task.WhenAny(delay, workers);
        _stopping = true;
        await workers;
        TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
        allocated = GC.GetTotalAllocatedBytes(precise: true) - allocated;
        cancellationToken.ThrowIfCancellationRequested();
        LatencyHistogram all = new();
        foreach (LatencyHistogram histogram in latencies)
        {
            all.Add(histogram);
        }

        return new NvmeBenchResult(all, elapsed, allocated);
    }

    private async Task WorkAsync(DmaBuffer buffer, nuint offset, LatencyHistogram latencies, Random random)
    {
        ulong places = disk.BlockCount / _blocks;
        while (!_stopping)
        {
            ulong place = sequential ? (ulong)(Interlocked.Increment(ref _next) - 1) % places : (ulong)random.NextInt64((long)places);
            long started = Stopwatch.GetTimestamp();
            if (random.Next(100) < readPercent)
            {
                await disk.ReadAsync(place * _blocks, buffer, offset, (nuint)length).ConfigureAwait(false);
            }
            else
            {
                await disk.WriteAsync(place * _blocks, buffer, offset, (nuint)length).ConfigureAwait(false);
            }

            latencies.Add((long)Stopwatch.GetElapsedTime(started).TotalNanoseconds);
        }
    }
}
