using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Vfio.Siege;

/// <summary>
/// <c>vfio serve</c> with three devices under clients that come, work, break off and come again, for as long as one likes; its memory, threads and
/// descriptors are looked at every few seconds and must not grow after the warm-up.
/// </summary>
internal sealed class Soak : IDisposable
{
    private const int Least = 16;
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);
    private readonly string _folder = Directory.CreateTempSubdirectory("vfio-soak-").FullName;
    private readonly string _tool;
    private readonly Process _server;
    private readonly List<SoakSample> _samples = [];
    private readonly StringBuilder _errors = new();

    private Soak(string tool, string[] options)
    {
        _tool = tool;
        string Device(string model, string settings) => $"{{\"model\": \"{model}\", \"name\": \"{model}\", \"socketPath\": \"{Socket(model)}\", \"settings\": {{{settings}}}}}";
        string configuration = Path.Combine(_folder, "host.json");
        File.WriteAllText(configuration, $"{{\"devices\": [{Device("edu", "")}, {Device("bench", "")}, {Device("nvme", $"\"file\": \"{Path.Combine(_folder, "image")}\", \"size\": \"64M\"")}]}}");
        _server = Process.Start(new ProcessStartInfo(tool, ["serve", "--config", configuration, .. options]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _server.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                _errors.AppendLine(line.Data);
            }
        };
        _server.BeginErrorReadLine();
    }

    /// <summary>Runs it.</summary>
    /// <param name="tool">The executable of <c>vfio</c>.</param>
    /// <param name="minutes">How long.</param>
    /// <param name="options">More options of <c>vfio serve</c>.</param>
    /// <returns>0 when nothing grew and no client failed.</returns>
    public static async Task<int> RunAsync(string tool, double minutes, string[] options)
    {
        using Soak soak = new(tool, options);
        for (int i = 0; i < 3; i++)
        {
            if (await soak._server.StandardOutput.ReadLineAsync() is null)
            {
                await Console.Error.WriteLineAsync($"The server has ended: {soak._errors}");
                return 1;
            }
        }

        return await soak.WatchAsync(TimeSpan.FromMinutes(minutes));
    }

    public void Dispose()
    {
        if (!_server.HasExited)
        {
            _server.Kill();
            _server.WaitForExit();
        }

        _server.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string Socket(string model) => Path.Combine(_folder, model);

    private async Task<int> WatchAsync(TimeSpan time)
    {
        using CancellationTokenSource stop = new(time);
        SoakClients clients = new(Socket("edu"), Socket("bench"), Socket("nvme"));
        Task traffic = clients.RunAsync(stop.Token);
        Console.WriteLine("seconds   RSS KiB  anonymous KiB  managed KiB  threads  descriptors    sessions  operations");
        long started = Stopwatch.GetTimestamp();
        while (!traffic.IsCompleted && !_server.HasExited)
        {
            await Task.WhenAny(traffic, Task.Delay(s_interval, CancellationToken.None));
            if (await SampleAsync() is not { } sample)
            {
                continue;
            }

            _samples.Add(sample);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Stopwatch.GetElapsedTime(started).TotalSeconds,7:F0} {sample.Resident,9} {sample.Anonymous,14} {sample.Managed,12} {sample.Threads,8} {sample.Descriptors,12} {clients.Sessions,11} {clients.Operations,11}"));
        }

        bool ended = _server.HasExited;
        await traffic;
        return Judge(clients.Failures, ended);
    }

    private async Task<SoakSample?> SampleAsync()
    {
        using Process ps = Process.Start(new ProcessStartInfo(_tool, ["ps", "--json", "--interval", "0", "--collect"]) { RedirectStandardOutput = true })!;
        string json = await ps.StandardOutput.ReadToEndAsync();
        await ps.WaitForExitAsync();
        JsonNode? host = JsonNode.Parse(json)?.AsArray().FirstOrDefault(host => (int)host!["process"]! == _server.Id);
        if (host is null || _server.HasExited)
        {
            return null;
        }

        Dictionary<string, string> status = File.ReadLines($"/proc/{_server.Id}/status").Select(static line => line.Split(':', 2)).ToDictionary(static parts => parts[0], static parts => parts[1].Trim(), StringComparer.Ordinal);
        return new SoakSample(
            KibiBytes("VmRSS"),
            KibiBytes("RssAnon"),
            (long)host["managedBytes"]! / 1024,
            int.Parse(status["Threads"], CultureInfo.InvariantCulture),
            Directory.GetFiles($"/proc/{_server.Id}/fd").Length);

        long KibiBytes(string field) => long.Parse(status[field].Split(' ')[0], CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// The second quarter against the last: by the median of memory, which is what is needed, and by the least of what goes up and down with the sessions of the moment,
    /// which is what is there when nobody has anything. The first quarter warms up. Of managed memory, which is between one and eight megabytes by what the clients do just
    /// then, the median of a quarter's samples is only good for a megabyte or so.
    /// </summary>
    private int Judge(IReadOnlyCollection<string> failures, bool ended)
    {
        List<string> problems = [.. failures];
        if (ended)
        {
            problems.Add($"the server has ended with {_server.ExitCode}: {_errors}");
        }

        if (_samples.Count < Least)
        {
            problems.Add($"{_samples.Count} samples are too few to judge by; {Least} are needed");
        }
        else
        {
            int length = _samples.Count / 4;
            SoakSample[][] quarters = [.. Enumerable.Range(0, 4).Select(i => _samples.Skip(_samples.Count - ((4 - i) * length)).Take(length).ToArray())];
            Compare("resident memory in KiB", Median(quarters, static sample => sample.Resident), 4 << 10);
            Compare("anonymous memory in KiB", Median(quarters, static sample => sample.Anonymous), 4 << 10);
            Compare("managed memory in KiB, the median", Median(quarters, static sample => sample.Managed), 2 << 10);
            Compare("managed memory in KiB, the least", [.. quarters.Select(static samples => (long)samples.Min(static sample => sample.Managed))], 512);
            Compare("threads", [.. quarters.Select(static samples => (long)samples.Min(static sample => sample.Threads))], 2);
            Compare("descriptors", [.. quarters.Select(static samples => (long)samples.Min(static sample => sample.Descriptors))], 2);
        }

        foreach (string problem in problems)
        {
            Console.WriteLine($"FAILED {problem}");
        }

        return problems.Count == 0 ? 0 : 1;

        static long[] Median(SoakSample[][] quarters, Func<SoakSample, long> of) => [.. quarters.Select(samples => samples.Select(of).Order().ElementAt(samples.Length / 2))];

        void Compare(string what, long[] quarters, long slack)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}, a quarter: {string.Join(", ", quarters)}"));
            if (quarters[^1] > quarters[1] + slack)
            {
                problems.Add(string.Create(CultureInfo.InvariantCulture, $"{what} grew by {quarters[^1] - quarters[1]} since the second quarter; {slack} are allowed"));
            }
        }
    }
}
