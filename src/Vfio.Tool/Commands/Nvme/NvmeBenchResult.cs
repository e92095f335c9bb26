using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary>What a run measured.</summary>
/// <param name="Latencies">Of every operation.</param>
/// <param name="Elapsed">From the first to the last.</param>
/// <param name="AllocatedBytes">By the whole process meanwhile.</param>
internal sealed record NvmeBenchResult(LatencyHistogram Latencies, TimeSpan Elapsed, long AllocatedBytes);
