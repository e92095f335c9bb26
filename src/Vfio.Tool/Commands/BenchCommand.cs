using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Vfio.Iommu;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio bench</c>: what the way to a device costs, by operations that change nothing on it.</summary>
internal static class BenchCommand
{
    private const int Batch = 64;

    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        Option<int> seconds = CommonOptions.Number("--seconds", "How long each operation is measured", 1, "a number of seconds from 1", static value => value >= 1);
        Option<string?> region = new("--region") { Description = "Also read this register: bar0 to bar5, rom, vga. Reading may have effects on the device", HelpName = "REGION" };
        Option<string> offset = new("--offset") { Description = "Its offset", DefaultValueFactory = static _ => "0", HelpName = "OFFSET" };
        Option<int> width = CommonOptions.Width();
        Option<bool> json = CommonOptions.Json();
        Command command = new("bench", "Measure round trips to a device: configuration reads, DMA mapping and, if asked for, a register.") { address, seconds, region, offset, width, json };
        command.SetAction(async (result, stop) =>
        {
            uint? register = result.GetValue(region) is { } name ? CommonOptions.ParseRegion(name) : null;
            ulong at = CommonOptions.ParseNumber(result.GetRequiredValue(offset), "offset");
            await using OpenedDevice device = await OpenedDevice.OpenAsync(result.GetRequiredValue(address), stop);
            TimeSpan time = TimeSpan.FromSeconds(result.GetValue(seconds));
            List<Measurement> measurements = Run(device.Connection, register, at, result.GetValue(width), time, stop);
            if (result.GetValue(json))
            {
                Json.Print(new JsonArray([.. measurements.Select(static measurement => (JsonNode)measurement.ToJson())]));
            }
            else
            {
                Print(measurements);
            }

            return CommandLine.Success;
        });
        return command;
    }

    private static List<Measurement> Run(VfioConnection device, uint? register, ulong offset, int width, TimeSpan time, CancellationToken stop)
    {
        byte[] value = new byte[sizeof(ulong)];
        List<Measurement> measurements = [];
        if (device.Config.Size >= sizeof(uint))
        {
            measurements.Add(Measure("config read", time, stop, () => device.Config.Read(0, value.AsSpan(0, sizeof(uint)))));
        }

        if (register is { } index)
        {
            measurements.Add(Measure(
                string.Create(CultureInfo.InvariantCulture, $"{((PciRegion)index).ToString().ToLowerInvariant()} read"),
                time,
                stop,
                () => device.Region((PciRegion)index).Read(offset, value.AsSpan(0, width))));
        }

        using DmaMemory page = DmaMemory.Allocate(4096);
        measurements.Add(Measure("map + unmap 4 KiB", time, stop, () => device.MapDma(page, DmaAccess.ReadWrite).Dispose()));
        return measurements;
    }

    private static Measurement Measure(string name, TimeSpan time, CancellationToken stop, Action operation)
    {
        LatencyHistogram latencies = new();
        for (int i = 0; i < Batch; i++)
        {
            operation();
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long started = Stopwatch.GetTimestamp();
        long ends = started + (long)(time.TotalSeconds * Stopwatch.Frequency);
        long before = started;
        while (before < ends)
        {
            stop.ThrowIfCancellationRequested();
            for (int i = 0; i < Batch; i++)
            {
                operation();
                long after = Stopwatch.GetTimestamp();
                latencies.Add((long)((after - before) * (1_000_000_000.0 / Stopwatch.Frequency)));
                before = after;
            }
        }

        return new Measurement(name, latencies, Stopwatch.GetElapsedTime(started, before), GC.GetAllocatedBytesForCurrentThread() - allocated);
    }

    private static void Print(List<Measurement> measurements)
    {
        Table table = new("operation", "a second", "p50 us", "p99 us", "p99.9 us", "max us", "bytes allocated each");
        foreach (Measurement measurement in measurements)
        {
            table.Add(
                measurement.Name,
                measurement.PerSecond.ToString("0", CultureInfo.InvariantCulture),
                Microseconds(measurement.Latencies.Percentile(0.5)),
                Microseconds(measurement.Latencies.Percentile(0.99)),
                Microseconds(measurement.Latencies.Percentile(0.999)),
                Microseconds(measurement.Latencies.Maximum),
                measurement.AllocatedEach.ToString("0.##", CultureInfo.InvariantCulture));
        }

        table.Print();
    }

    private static string Microseconds(long nanoseconds) => (nanoseconds / 1000.0).ToString("0.0", CultureInfo.InvariantCulture);

    private sealed record Measurement(string Name, LatencyHistogram Latencies, TimeSpan Elapsed, long AllocatedBytes)
    {
        public double PerSecond => Latencies.Count / Elapsed.TotalSeconds;

        public double AllocatedEach => (double)AllocatedBytes / Latencies.Count;

        public JsonObject ToJson() => new()
        {
            ["operation"] = Name,
            ["count"] = Latencies.Count,
            ["perSecond"] = Math.Round(PerSecond, 1),
            ["p50Nanoseconds"] = Latencies.Percentile(0.5),
            ["p99Nanoseconds"] = Latencies.Percentile(0.99),
            ["p999Nanoseconds"] = Latencies.Percentile(0.999),
            ["maximumNanoseconds"] = Latencies.Maximum,
            ["allocatedBytesEach"] = Math.Round(AllocatedEach, 3),
        };
    }
}
