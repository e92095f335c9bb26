using System.Diagnostics;
using System.Globalization;
using Vfio.Abi;
using Vfio.Devices.Edu;
using Vfio.Linux;
using Vfio.Testing;

namespace Vfio.User.Tests.Scale;

/// <summary>A thousand devices in one process, each with its server and, later, its client.</summary>
public sealed class ManyDevicesTests : IAsyncDisposable
{
    private const int Count = 1000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vfio-many-");
    private readonly VfioHost _host = new();
    private readonly List<EduDevice> _devices = [];
    private readonly List<VfioUserServer> _servers = [];
    private readonly List<RawVfioUserClient> _clients = [];

    public async ValueTask DisposeAsync()
    {
        _clients.ForEach(static client => client.Dispose());
        foreach (VfioUserServer server in _servers)
        {
            await server.DisposeAsync();
        }

        await _host.DisposeAsync();
        _devices.ForEach(static device => device.Put());
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Thousand_clients_connect_at_once_and_each_rests_in_less_than_64_KiB()
    {
        // The first ones bring what all share.
        for (int i = 0; i < 10; i++)
        {
            Serve(i);
            Connect(i);
        }

        await UntilAllRestAsync();
        (long managed, long resident) = Memory();
        for (int i = 10; i < Count; i++)
        {
            Serve(i);
        }

        // All at once: what they have to say waits for nobody.
        Parallel.For(10, Count, new ParallelOptions { MaxDegreeOfParallelism = 64 }, Connect);
        Assert.Equal(Count, _clients.Count);
        Assert.All(_clients, static client => Assert.Equal([0xED, 0x00, 0x00, 0x01], client.ReadRegion(0, 0, 4)));

        await UntilAllRestAsync();
        (long managedAfter, long residentAfter) = Memory();
        long managedEach = (managedAfter - managed) / (Count - 10);
        long residentEach = (residentAfter - resident) / (Count - 10);
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{managedEach} bytes managed, {residentEach} resident, each"));
        Assert.True(managedEach < 64 << 10, $"{managedEach} managed bytes each");
        Assert.True(residentEach < 64 << 10, $"{residentEach} resident bytes each");

        // And all still answer.
        Assert.All(_clients, static client => Assert.Equal([0xED, 0x00, 0x00, 0x01], client.ReadRegion(0, 0, 4)));
    }

    [Fact]
    public async Task Busy_device_is_as_fast_among_999_idle_clients_as_alone()
    {
        const int Rounds = 5;
        for (int i = 0; i < Count; i++)
        {
            Serve(i);
        }

        using RawVfioUserClient busy = RawVfioUserClient.Open(SocketOf(0));
        _ = RoundTrips(busy);
        List<double[]> alone = [];
        List<double[]> among = [];
        for (int round = 0; round < Rounds; round++)
        {
            alone.Add(RoundTrips(busy));
            Parallel.For(1, Count, new ParallelOptions { MaxDegreeOfParallelism = 64 }, Connect);
            await UntilAllRestAsync();
            Assert.Equal(Count, _servers.Count(static server => server.HasClient));
            among.Add(RoundTrips(busy));
            _clients.ForEach(static client => client.Dispose());
            _clients.Clear();
            Assert.True(SpinWait.SpinUntil(() => _servers.Count(static server => server.HasClient) == 1, s_patience));
            await UntilAllRestAsync();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"alone: {Text(alone)}");
        TestContext.Current.TestOutputHelper?.WriteLine($"among: {Text(among)}");

        // The median of the rounds, so that what else the machine does in one of them counts for nothing.
        Assert.InRange(Median(among, 0.5) / Median(alone, 0.5), 0, 1.5);
        Assert.InRange(Median(among, 0.99) / Median(alone, 0.99), 0, 4);
    }

    /// <summary>The times of reads of a register one after the other, in microseconds, sorted.</summary>
    private static double[] RoundTrips(RawVfioUserClient client)
    {
        double[] times = new double[10_000];
        for (int i = 0; i < times.Length; i++)
        {
            long started = Stopwatch.GetTimestamp();
            _ = client.ReadRegion(0, 0, 4);
            times[i] = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
        }

        Array.Sort(times);
        return times;
    }

    private static double Median(List<double[]> rounds, double part)
        => rounds.Select(times => times[Math.Min(times.Length - 1, (int)(times.Length * part))]).Order().ElementAt(rounds.Count / 2);

    private static string Text(List<double[]> rounds)
        => string.Create(CultureInfo.InvariantCulture, $"p50 {Median(rounds, 0.5):F1} us, p99 {Median(rounds, 0.99):F1}, p99.9 {Median(rounds, 0.999):F1}, p100 {Median(rounds, 1):F1}, medians of {rounds.Count} rounds");

    private static (long Managed, long Resident) Memory()
    {
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        string[] pages = File.ReadAllText("/proc/self/statm").Split(' ');
        return (GC.GetTotalMemory(forceFullCollection: false), (long.Parse(pages[1], CultureInfo.InvariantCulture) - long.Parse(pages[2], CultureInfo.InvariantCulture)) * Environment.SystemPageSize);
    }

    private string SocketOf(int i) => Path.Combine(_folder.FullName, i.ToString(CultureInfo.InvariantCulture));

    private void Serve(int i)
    {
        EduDevice device = _host.Allocate(static () => new EduDevice());
        _devices.Add(device);
        string name = string.Create(CultureInfo.InvariantCulture, $"edu{i}");
        _ = _host.RegisterEmulatedIommuDevice(device, name);
        _servers.Add(VfioUserServer.Listen(_host, name, SocketOf(i)));
    }

    private void Connect(int i)
    {
        RawVfioUserClient client = RawVfioUserClient.Open(SocketOf(i));
        lock (_clients)
        {
            _clients.Add(client);
        }
    }

    private async Task UntilAllRestAsync()
    {
        long started = Stopwatch.GetTimestamp();
        while (_host.Workers.Busy > 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < s_patience, $"{_host.Workers.Busy} connections do not rest");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }
}
