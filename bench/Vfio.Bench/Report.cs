using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Vfio.Bench;

/// <summary>Prints measurements: a line each as they are made, and all of them with the machine's facts as JSON.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static void PrintHead()
    {
        Console.WriteLine($"{Machine()}");
        Console.WriteLine($"{"operation",-32} {"size",9} {"min ns",10} {"median ns",10} {"max ns",10} {"op/s",12} {"bytes/op",9}");
    }

    public static void Print(Measurement m)
        => Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{m.Name,-32} {m.Size,9} {m.Minimum,10:0.0} {m.Median,10:0.0} {m.Maximum,10:0.0} {1e9 / m.Median,12:0} {m.AllocatedBytes,9:0.##}"));

    public static void Write(string path, IReadOnlyList<Measurement> measurements)
        => File.WriteAllText(path, JsonSerializer.Serialize(new { machine = Machine(), measurements }, s_json) + "\n");

    private static MachineFacts Machine()
        => new(
            FirstValue("/proc/cpuinfo", "model name"),
            Environment.ProcessorCount,
            FirstValue("/proc/meminfo", "MemTotal"),
            RuntimeInformation.OSDescription,
            RuntimeInformation.FrameworkDescription,
            File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Split(' ')[0] : "");

    private static string FirstValue(string file, string key)
    {
        string? line = File.Exists(file) ? File.ReadLines(file).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) : null;
        return line is null ? "" : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}
