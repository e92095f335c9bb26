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
