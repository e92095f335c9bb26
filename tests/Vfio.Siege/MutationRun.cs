using System.Diagnostics;
using System.Globalization;
using Vfio.Abi;
using Vfio.Devices.Edu;
using Vfio.Testing;
using Vfio.User;

namespace Vfio.Siege;

/// <summary>
/// Mutated messages in great number to several servers of one process, with one more device that has a client in good order: every batch is answered or
/// ends its connection, nothing is left behind in the process, and the good client is served all the time.
/// </summary>
internal sealed class MutationRun
{
    private const int Lanes = 8;

    /// <summary>Round trips that are kept; the room is there from the beginning, so that it does not count as growth.</summary>
    private const int Most = 1 << 20;
    private static readonly TimeSpan s_report = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(5);
    private readonly MutationCorpus _corpus = new();
    private readonly List<double> _alone = new(Most);
    private readonly List<double> _beside = new(Most);
    private string? _problem;
    private long _done;

    /// <summary>Runs it.</summary>
    /// <param name="messages">How many messages the servers are to process, at least.</param>
    /// <param name="seed">The first lane's seed; the others have the next ones.</param>
    /// <returns>0 when all held.</returns>
    public static async Task<int> RunAsync(long messages, int seed) => await new MutationRun().ExecuteAsync(messages, seed);

    private async Task<int> ExecuteAsync(long messages, int seed)
    {
        List<MutationLane> lanes = [];
        await using DevicePair<EduDevice> good = DevicePair.Serve(static () => new EduDevice());
        using RawVfioUserClient bystander = good.ConnectRaw();
        Measure(bystander, _alone, s_calm, () => false);

        // Once round before the count: what all share, and what is compiled at its first use.
        for (int i = 0; i < Lanes; i++)
        {
            lanes.Add(new MutationLane(seed + i, _corpus));
            for (int k = 0; k < 200; k++)
            {
                lanes[i].RunConnection();
            }
        }

        State before = State.Look();
        long started = Stopwatch.GetTimestamp();
        Thread[] threads = [.. lanes.Select(lane => new Thread(() => Run(lane, lane.Messages + (messages / Lanes))) { Name = "siege" })];
        Array.ForEach(threads, static thread => thread.Start());
        Measure(bystander, _beside, Timeout.InfiniteTimeSpan, () => Volatile.Read(ref _done) == Lanes, () => Report(lanes, started));
        Array.ForEach(threads, static thread => thread.Join());
        Report(lanes, started);
        State after = State.Look();
        foreach (MutationLane lane in lanes)
        {
            await lane.DisposeAsync();
        }

        Console.WriteLine($"before {before}");
        Console.WriteLine($"after  {after}");
        Console.WriteLine($"another device's round trips alone:   {Percentiles(_alone)}");
        Console.WriteLine($"another device's round trips meanwhile: {Percentiles(_beside)}");
        Console.WriteLine($"ends: {string.Join(", ", lanes.SelectMany(static lane => lane.Reasons).GroupBy(static reason => reason.Key).Select(static group => string.Create(CultureInfo.InvariantCulture, $"{group.Key} {group.Sum(static reason => reason.Value)}")))}");
        Console.WriteLine($"questions that a wrong size swallowed: {lanes.Sum(static lane => lane.Swallowed)}");
        _problem ??= after.Compare(before);
        _problem ??= _beside.Max() > s_longest.TotalMicroseconds ? "another device waited too long" : null;
        Console.WriteLine(_problem is null ? "all held" : $"FAILED {_problem}");
        return _problem is null ? 0 : 1;
    }

    private static string Percentiles(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        double At(double part) => sorted[Math.Min(sorted.Length - 1, (int)(sorted.Length * part))];
        return string.Create(CultureInfo.InvariantCulture, $"{sorted.Length}, p50 {At(0.5):F0} us, p99 {At(0.99):F0}, p99.9 {At(0.999):F0}, longest {sorted[^1]:F0}");
    }

    /// <summary>A round trip a millisecond, until it is enough.</summary>
    private static void Measure(RawVfioUserClient client, List<double> times, TimeSpan time, Func<bool> isEnough, Action? report = null)
    {
        long started = Stopwatch.GetTimestamp();
        long reported = started;
        do
        {
            long from = Stopwatch.GetTimestamp();
            _ = client.ReadRegion(0, 0, 4);
            double roundTrip = Stopwatch.GetElapsedTime(from).TotalMicroseconds;
            if (times.Count < Most)
            {
                times.Add(roundTrip);
            }
            else
            {
                // The longest of those that are not kept stays.
                times[^1] = Math.Max(times[^1], roundTrip);
            }

            Thread.Sleep(1);
            if (report is not null && Stopwatch.GetElapsedTime(reported) > s_report)
            {
                reported = Stopwatch.GetTimestamp();
                report();
            }
        }
        while (!isEnough() && (time < TimeSpan.Zero || Stopwatch.GetElapsedTime(started) < time));
    }

    private void Run(MutationLane lane, long messages)
    {
        try
        {
            while (lane.Messages < messages && Volatile.Read(ref _problem) is null)
            {
                lane.RunConnection();
            }
        }
        catch (Exception exception) when (exception is VfioException or IOException or TimeoutException or InvalidOperationException)
        {
            Interlocked.CompareExchange(ref _problem, $"{exception.GetType().Name}: {exception.Message}", null);
        }
        finally
        {
            Interlocked.Increment(ref _done);
        }
    }

    private void Report(List<MutationLane> lanes, long started)
        => Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Stopwatch.GetElapsedTime(started).TotalSeconds,6:F0} s {lanes.Sum(static lane => lane.Messages),10} messages, {lanes.Sum(static lane => lane.Connections),8} connections, {lanes.Sum(static lane => lane.Ends),8} of them ended by a message, {_corpus.Answers,6} kinds of answers"));

    /// <summary>What the process has.</summary>
    private sealed record State(int Descriptors, int Mappings, int Threads, long ManagedKiB, long AnonymousKiB)
    {
        public static State Look()
        {
            // Those that rest have given back what they had.
            Thread.Sleep(1000);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
            long managed = GC.GetTotalMemory(forceFullCollection: true) / 1024;
            string anonymous = File.ReadLines("/proc/self/status").First(static line => line.StartsWith("RssAnon", StringComparison.Ordinal));
            return new State(
                Directory.GetFiles("/proc/self/fd").Count(static path => IsPeers(new FileInfo(path).LinkTarget)),
                File.ReadLines("/proc/self/maps").Count(static line => line.Contains("memfd:", StringComparison.Ordinal) && !line.Contains("doublemapper", StringComparison.Ordinal)),
                Directory.GetDirectories("/proc/self/task").Length,
                managed,
                long.Parse(anonymous.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
        }

        /// <summary>Sockets, eventfds, memory. The runtime's own, as of the libraries that it loads, come and stay.</summary>
        private static bool IsPeers(string? target)
            => target is not null && (target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("anon_inode:", StringComparison.Ordinal) || target.StartsWith("/memfd:", StringComparison.Ordinal) || target == "/dev/null");

        /// <summary>What is more than before; null when nothing is.</summary>
        public string? Compare(State before)
            => Descriptors > before.Descriptors ? "descriptors are left"
                : Mappings > before.Mappings ? "mappings of memory are left"
                : Threads > before.Threads + 10 ? "threads are left"
                : ManagedKiB > before.ManagedKiB + 2048 ? "managed memory is left"
                : AnonymousKiB > before.AnonymousKiB + (16 << 10) ? "memory is left"
                : null;
    }
}
