using System.Diagnostics;
using Vfio.Abi;
using Vfio.Devices.Edu;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>What peers can do that no numbered case has (spec vfio-user §6). docs/security.md lists which test stands for which threat.</summary>
public sealed class ThreatCases : ConformanceTest
{
    private const uint ReadWrite = 3;

    /// <summary>A storm on one device for as long as another one is used.</summary>
    public enum Storm
    {
        /// <summary>Maps and unmaps.</summary>
        Maps,

        /// <summary>Writes that want no reply, as fast as the socket takes them.</summary>
        PostedWrites,

        /// <summary>Connections that come and go.</summary>
        Connections,
    }

    [Fact]
    public void Threat11_descriptors_that_are_no_memory_are_refused_and_closed()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, FileDescriptor.TryOpen("/dev/random", OpenMode.ReadWrite, out FileDescriptor? device));
        Assert.Equal(Errno.None, FileDescriptor.TryOpen($"/proc/self/fd/{memory.Descriptor.Number}", OpenMode.PathOnly, out FileDescriptor? path));
        Assert.Equal(Errno.None, FileDescriptor.TryOpen("/proc/self/mem", OpenMode.ReadWrite, out FileDescriptor? process));
        Assert.Equal(Errno.None, FileDescriptor.TryOpen("/proc/self/status", OpenMode.ReadOnly, out FileDescriptor? status));
        UnixSocket.CreatePair(out UnixSocket one, out UnixSocket other);
        FileDescriptor[] kinds = [device!, path!, process!, status!, one.Descriptor];
        ProcessResources before = ProcessResources.Capture();
        foreach (FileDescriptor kind in kinds)
        {
            using VfioUserMessage reply = client.Request(
                VfioUserCommand.DmaMap, new vfio_user_dma_map { argsz = 32, flags = ReadWrite, address = 0, size = 0x1000 }, kind);
            Assert.NotEqual(Errno.None, reply.Error);
        }

        AssertNothingLeft(before);
        AssertAlive(client);
        foreach (IDisposable kind in (IDisposable[])[device!, path!, process!, status!, one, other])
        {
            kind.Dispose();
        }
    }

    [Theory]
    [InlineData(Storm.Maps)]
    [InlineData(Storm.PostedWrites)]
    [InlineData(Storm.Connections)]
    public async Task Threat17_34_storm_on_one_device_leaves_the_others_alone(Storm storm)
    {
        DevicePair<ConformanceDevice> stormed = Serve();
        DevicePair<EduDevice> quiet = Own(DevicePair.OverSocket(static () => new EduDevice()));
        using MemFd memory = Memory();
        using CancellationTokenSource stop = new();
        Task attack = Task.Run(() => Attack(storm, stormed, memory, stop.Token));
        long slowest = 0;
        int reads = 0;
        for (long started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(1); reads++)
        {
            long before = Stopwatch.GetTimestamp();
            Assert.Equal(0x010000EDu, quiet.Connection.Bar(0).Read32(0));
            slowest = Math.Max(slowest, Stopwatch.GetTimestamp() - before);
        }

        await stop.CancelAsync();
        await attack.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.True(reads > 200, $"{reads} reads in a second");
        Assert.InRange(Stopwatch.GetElapsedTime(0, slowest), TimeSpan.Zero, TimeSpan.FromMilliseconds(500));
        WaitFor(() => !stormed.Server!.HasClient);
        using RawVfioUserClient next = stormed.ConnectRaw();
        AssertAlive(next);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Threat38_client_that_never_answers_dma_costs_the_device_a_deadline_and_itself_the_connection(bool twin)
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        using VfioUserMessage version = client.Negotiate(twin ? TwinCapabilities : RawVfioUserClient.QemuCapabilities);
        Assert.Equal(twin ? 1 : 0, version.DescriptorCount);
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000));
        long started = Stopwatch.GetTimestamp();
        StartDma(client, 0x10, 8, ControlBlock.ReadInWork);
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.NotEqual(Errno.None, pair.Device.LastDmaError);
        Assert.InRange(Stopwatch.GetElapsedTime(started), Short / 2, Patience);
        WaitFor(() => !pair.Server!.HasClient);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Threat38_client_that_answers_one_of_many_requests_frees_every_thread_of_the_device_in_the_end(bool twin)
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        using VfioUserMessage version = client.Negotiate(
            """{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":64,"twin_socket":{"supported":TWIN}}}""".Replace("TWIN", twin ? "true" : "false", StringComparison.Ordinal));
        using VfioUserPeer? socket = twin ? new VfioUserPeer(new UnixSocket(version.TakeDescriptor(0))) : null;
        VfioUserPeer peer = socket ?? client;
        Assert.Equal(Errno.None, client.MapDma(0, 0x10000));
        long started = Stopwatch.GetTimestamp();
        Task<Errno>[] transfers = [.. Enumerable.Range(0, 6).Select(number => Task.Factory.StartNew(
            () => number % 2 == 0 ? pair.Device.Dma.Read((ulong)number * 0x1000, new byte[4000]) : pair.Device.Dma.Write((ulong)number * 0x1000, new byte[4000]),
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default))];
        using (VfioUserMessage request = peer.ReceiveMessage())
        {
            peer.ReplyError(request, Errno.EFAULT);
        }

        foreach (Task<Errno> transfer in transfers)
        {
            Assert.NotEqual(Errno.None, await transfer.WaitAsync(Patience, TestContext.Current.CancellationToken));
        }

        Assert.InRange(Stopwatch.GetElapsedTime(started), Short / 2, Patience);
        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.TimedOut, pair.Server!.LastEnd);
    }

    [Fact]
    public void Threat40_what_a_peer_says_reaches_the_log_without_control_characters_and_not_without_end()
    {
        using RecordingLoggers logs = new();
        DevicePair<ConformanceDevice> pair = Own(DevicePair.Serve(
            static () => new ConformanceDevice(), new DevicePairOptions { Host = new VfioHostOptions { LoggerFactory = logs } }));
        using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
        {
            using VfioUserMessage reply = client.Request(
                VfioUserCommand.Version, RawVfioUserClient.VersionPayload(0, 2, "{\"capabilities\":\"\u001b[2J\nerror: forged\"}"));
            Assert.Equal(Errno.EINVAL, reply.Error);
        }

        WaitFor(() => !pair.Server!.HasClient);
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            for (int i = 0; i < 2000; i++)
            {
                AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetRegionInfo, new vfio_region_info { argsz = 1 }));
            }
        }

        WaitFor(() => !pair.Server!.HasClient);
        Assert.InRange(logs.Lines.Count, 1, 60);
        Assert.DoesNotContain(logs.Lines, static line => line.Any(char.IsControl) || line.Contains("forged", StringComparison.Ordinal));
    }

    [Fact]
    public void Threat41_children_inherit_nothing()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw(TwinCapabilities);
        using MemFd memory = Memory();
        using EventFd interrupt = new();
        Assert.Equal(Errno.None, client.MapDma(0, 0x1000, memory.Descriptor));
        Assert.Equal(Errno.None, client.SetIrqs(2, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, default, interrupt.Descriptor));
        string file = Path.GetTempFileName();
        using Process child = Process.Start("/bin/sh", ["-c", $"ls -l /proc/$$/fd >{file}"]);
        child.WaitForExit();
        string listing = File.ReadAllText(file);
        File.Delete(file);
        Assert.Contains(" 2 -> ", listing, StringComparison.Ordinal);
        Assert.DoesNotContain("memfd:", listing, StringComparison.Ordinal);
        Assert.DoesNotContain("[event", listing, StringComparison.Ordinal);
        Assert.DoesNotContain("socket:", listing, StringComparison.Ordinal);
    }

    [Fact]
    public void Threat42_user_who_is_not_on_the_list_is_sent_away()
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { AllowedUsers = [UnixSocket.OwnUserId + 1] });
        using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
        {
            Assert.Null(client.Receive());
        }

        Assert.Equal(0, pair.Server!.GetStatistics().Connections);
        DevicePair<ConformanceDevice> mine = Serve(new VfioUserServerOptions { AllowedUsers = [UnixSocket.OwnUserId] });
        using RawVfioUserClient allowed = mine.ConnectRaw();
        AssertAlive(allowed);
    }

    private static void Attack(Storm storm, DevicePair<ConformanceDevice> pair, MemFd memory, CancellationToken stop)
    {
        if (storm == Storm.Connections)
        {
            while (!stop.IsCancellationRequested)
            {
                // The one before may still be in its place: then this one is sent away.
                RawVfioUserClient.Connect(pair.SocketPath).Dispose();
            }

            return;
        }

        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] write = [.. Enumerable.Repeat(VfioUserPeer.Compose(1, VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(1, 0, new byte[4])), 100).SelectMany(static message => message)];
        while (!stop.IsCancellationRequested)
        {
            if (storm == Storm.Maps)
            {
                Assert.Equal(Errno.None, client.MapDma(0, 0x1000, memory.Descriptor));
                Assert.Equal(Errno.None, client.UnmapDma(0, 0x1000));
            }
            else
            {
                Assert.Equal(Errno.None, client.SendBytes(write));
            }
        }

        AssertAlive(client);
    }

    /// <summary>Keeps every line of the server's log.</summary>
}
