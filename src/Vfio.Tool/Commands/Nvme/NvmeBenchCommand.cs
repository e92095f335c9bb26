using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS bench</c>: operations a second, latencies and allocations.</summary>
internal static class NvmeBenchCommand
{
    private const int MaximumDepth = 4096;

    public static Command Create(Argument<string> address)
    {
        Option<int> id = NvmeSession.Namespace();
        Option<int> seconds = CommonOptions.Number("--seconds", "How long", 5, "1 to 3600", static value => value is >= 1 and <= 3600);
        Option<int> depth = CommonOptions.Number("--queue-depth", "Operations at once, of all queues together", 32, $"1 to {MaximumDepth}", static value => value is >= 1 and <= MaximumDepth);
        Option<int> queues = CommonOptions.Number("--queues", "Queue pairs; one a processor when not given", null, "1 to 65535", static value => value is >= 1 and <= 65535);
        Option<ulong?> blockSize = CommonOptions.Size("--block-size", "Bytes of an operation", 4096);
        Option<int> read = CommonOptions.Number("--read", "Percent of the operations that read; the others write", 100, "0 to 100", static value => value is >= 0 and <= 100);
        Option<bool> sequential = new("--sequential") { Description = "One after the other instead of at random places" };
        Option<bool> poll = NvmeSession.Poll();
        Option<bool> inline = new("--inline") { Description = "Go on where the completion is found instead of on the thread pool" };
        Option<bool> yes = new("--yes") { Description = "Overwrite what is stored, for --read below 100" };
        Option<bool> json = CommonOptions.Json();
        Command command = new("bench", "Measure operations a second, latencies and allocations.") { id, seconds, depth, queues, blockSize, read, sequential, poll, inline, yes, json };
        command.SetAction(async (result, cancellationToken) =>
        {
            int reads = result.GetValue(read);
            if (reads < 100 && !result.GetValue(yes))
            {
                throw new UsageException("Writing overwrites what is stored: say --yes if it may, or leave --read at 100.");
            }

            int wantedQueues = result.GetValue(queues);
            NvmeOptions options = new()
            {
                AllowWrites = reads < 100,
                QueueCount = wantedQueues > 0 ? wantedQueues : null,
                QueueDepth = Math.Min(MaximumDepth, result.GetValue(depth) + 1 < 64 ? 64 : result.GetValue(depth) + 1),
                Completion = result.GetValue(poll) ? NvmeCompletionMode.Polling : NvmeCompletionMode.Interrupts,
                RunContinuationsInline = result.GetValue(inline),
            };
            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), options, cancellationToken);
            NvmeNamespace disk = session.Select(result.GetValue(id));
            ulong bytes = result.GetValue(blockSize)!.Value;
            ulong blocks = NvmeSession.ToBlocks(disk, bytes, "--block-size");
            if (blocks == 0 || bytes > 64 << 20 || blocks > disk.BlockCount)
            {
                throw new UsageException($"--block-size is at most 64M and the namespace's size, and not {bytes}.");
            }

            NvmeBench bench = new(session.Controller, disk, (int)bytes, result.GetValue(depth), reads, result.GetValue(sequential));
            TimeSpan time = TimeSpan.FromSeconds(result.GetValue(seconds));
            await bench.RunAsync(TimeSpan.FromSeconds(Math.Min(1, time.TotalSeconds / 4)), cancellationToken);
            NvmeBenchResult measured = await bench.RunAsync(time, cancellationToken);
            Print(session.Controller, bench, measured, result.GetValue(json));
            return CommandLine.Success;
        });
        return command;
    }

    private static void Print(NvmeController controller, NvmeBench bench, NvmeBenchResult result, bool json)
    {
        double rate = result.Latencies.Count / result.Elapsed.TotalSeconds;
        (string Name, double Share)[] shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];
        string completions = controller.InterruptKind?.ToString() ?? "polled";
        if (json)
        {
            JsonObject latencies = [];
            foreach ((string name, double share) in shares)
            {
                latencies[name] = result.Latencies.Percentile(share) / 1000.0;
            }

            latencies["max"] = result.Latencies.Maximum / 1000.0;
            Json.Print(new JsonObject
            {
                ["address"] = controller.Address,
                ["queues"] = controller.QueueCount,
                ["queueDepth"] = bench.Depth,
                ["blockSize"] = bench.Length,
                ["readPercent"] = bench.ReadPercent,
                ["completions"] = completions,
                ["shadowDoorbells"] = controller.UsesShadowDoorbells,
                ["mappedDoorbells"] = controller.UsesMappedDoorbells,
                ["seconds"] = Math.Round(result.Elapsed.TotalSeconds, 3),
                ["operations"] = result.Latencies.Count,
                ["iops"] = Math.Round(rate),
                ["mebibytesPerSecond"] = Math.Round(rate * bench.Length / (1 << 20), 1),
                ["latencyMicroseconds"] = latencies,
                ["allocatedBytes"] = result.AllocatedBytes,
                ["processors"] = Environment.ProcessorCount,
                ["runtime"] = Environment.Version.ToString(),
            });
            return;
        }

        Table table = new("measure", "value");
        table.Add("operations", $"{result.Latencies.Count} of {bench.Length} bytes, {bench.ReadPercent} % reads, {bench.Depth} at once on {controller.QueueCount} queues, {completions}");
        table.Add("rate", $"{rate:f0} a second, {rate * bench.Length / (1 << 20):f1} MiB/s");
        foreach ((string name, double share) in shares)
        {
            table.Add(name, $"{result.Latencies.Percentile(share) / 1000.0:f1} µs");
        }

        table.Add("slowest", $"{result.Latencies.Maximum / 1000.0:f1} µs");
        table.Add("allocated", $"{result.AllocatedBytes} bytes, {result.AllocatedBytes / (double)Math.Max(1, result.Latencies.Count):f3} an operation");
        table.Print();
    }
}
