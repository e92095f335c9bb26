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
        Console.WriteLine("seconds   RSS KiB  managed KiB  threads  descriptors    sessions  operations");
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
                $"{Stopwatch.GetElapsedTime(started).TotalSeconds,7:F0} {sample.Resident,9} {sample.Managed,12} {sample.Threads,8} {sample.Descriptors,12} {clients.Sessions,11} {clients.Operations,11}"));
        }

        bool ended = _server.HasExited;
        await traffic;
        return Judge(clients.Failures, ended);
    }

    private async Task<SoakSample?> SampleAsync()
    {
        using Process ps = Process.Start(new ProcessStartInfo(_tool, ["ps", "--json", "--interval", "0"]) { RedirectStandardOutput = true })!;
        string json = await ps.StandardOutput.ReadToEndAsync();
        await ps.WaitForExitAsync();
        JsonNode? host = JsonNode.Parse(json)?.AsArray().FirstOrDefault(host => (int)host!["process"]! == _server.Id);
        if (host is null || _server.HasExited)
        {
            return null;
        }

        Dictionary<string, string> status = File.ReadLines($"/proc/{_server.Id}/status").Select(static line => line.Split(':', 2)).ToDictionary(static parts => parts[0], static parts => parts[1].Trim(), StringComparer.Ordinal);
        return new SoakSample(
            long.Parse(status["VmRSS"].Split(' ')[0], CultureInfo.InvariantCulture),
            (long)host["managedBytes"]! / 1024,
            int.Parse(status["Threads"], CultureInfo.InvariantCulture),
            Directory.GetFiles($"/proc/{_server.Id}/fd").Length);
    }

    /// <summary>
    /// The second quarter against the last: by the median of the resident memory, and by the least of what goes up and down, which is what is
    /// there when nobody has anything.
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
            int quarter = _samples.Count / 4;
            SoakSample[] early = [.. _samples.Skip(quarter).Take(quarter)];
            SoakSample[] late = [.. _samples.TakeLast(quarter)];
            Compare("resident memory in KiB", Median(early), Median(late), 16 << 10);
            Compare("managed memory in KiB", early.Min(static sample => sample.Managed), late.Min(static sample => sample.Managed), 8 << 10);
            Compare("threads", early.Min(static sample => sample.Threads), late.Min(static sample => sample.Threads), 2);
            Compare("descriptors", early.Min(static sample => sample.Descriptors), late.Min(static sample => sample.Descriptors), 2);
        }

        foreach (string problem in problems)
        {
            Console.WriteLine($"FAILED {problem}");
        }

        return problems.Count == 0 ? 0 : 1;

        static long Median(SoakSample[] samples) => samples.Select(static sample => sample.Resident).Order().ElementAt(samples.Length / 2);

        void Compare(string what, long early, long late, long slack)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {early} in the second quarter, {late} in the last"));
            if (late > early + slack)
            {
                problems.Add($"{what} grew by {late - early}");
            }
        }
    }
}
