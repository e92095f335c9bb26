using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.User;
using Vfio.User.Tests.Conformance;
using Vfio.User.Tests.Devices;

namespace Vfio.Siege;

/// <summary>One device with its server, and one client after the other that sends it batches of mutated messages.</summary>
internal sealed class MutationLane : IAsyncDisposable
{
    private const string Twin = """{"capabilities":{"max_msg_fds":16,"twin_socket":{"supported":true}}}""";
    private const int BatchesOfConnection = 20;
    private const int LargestBatch = 16;
    private const ushort FirstProbe = 0xA000;

    /// <summary>The payload of a request for the device's information: its size, and nothing else.</summary>
    private static readonly byte[] s_info = [16, .. new byte[15]];
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_swallowed = TimeSpan.FromSeconds(2);
    private readonly Random _random;
    private readonly MutationCorpus _corpus;
    private readonly DevicePair<ConformanceDevice> _pair;
    private readonly MemFd _memory = new("siege", 1 << 20);
    private readonly EventFd _eventFd = new();
    private readonly FileDescriptor _null;
    private readonly byte[] _buffer = new byte[1 << 20];
    private readonly Dictionary<ushort, byte[]> _batch = [];
    private ushort _id;

    public MutationLane(int seed, MutationCorpus corpus)
    {
        _random = new Random(seed);
        _corpus = corpus;
        VfioException.ThrowIfError(FileDescriptor.TryOpen("/dev/null", OpenMode.ReadWrite, out FileDescriptor? zero), "open /dev/null");
        _null = zero!;
        _pair = DevicePair.Serve(Create, new DevicePairOptions { Server = new VfioUserServerOptions { MessageTimeout = TimeSpan.FromMilliseconds(50), MaximumDmaMaps = 64 } });
    }

    /// <summary>Messages that the server has certainly processed: an answer, to them or to what was sent behind them, has come.</summary>
    public long Messages { get; private set; }

    /// <summary>Connections, and those of them that a message ended.</summary>
    public long Connections { get; private set; }

    public long Ends { get; private set; }

    /// <summary>Batches whose last question was answered only when it was asked a second time.</summary>
    public long Swallowed { get; private set; }

    /// <summary>The ends by their reason.</summary>
    public Dictionary<ConnectionEnd, long> Reasons { get; } = [];

    /// <summary>One connection, from its negotiation to its end.</summary>
    /// <exception cref="TimeoutException">The server neither answered nor ended it.</exception>
    public void RunConnection()
    {
        Connections++;
        bool alive = true;
        using (RawVfioUserClient client = _pair.ConnectRaw(_random.Next(2) == 0 ? Twin : RawVfioUserClient.QemuCapabilities, s_deadline))
        {
            for (int batch = 0; batch < BatchesOfConnection && alive; batch++)
            {
                alive = RunBatch(client, (ushort)(FirstProbe + batch));
            }

            client.Socket.Shutdown();
        }

        if (!SpinWait.SpinUntil(() => !_pair.Server!.HasClient, s_deadline))
        {
            throw new TimeoutException($"A client has gone, and its connection is there after {s_deadline.TotalSeconds} s.");
        }

        if (_pair.Server!.LastEnd == ConnectionEnd.DeviceFailed)
        {
            throw new InvalidOperationException("The device's own code failed.");
        }

        // The device's notes of what was done to it are for tests that look at them.
        _pair.Device.Log.Clear();
        _pair.Device.Resets.Clear();
        _pair.Device.TestMigration.Hops.Clear();
        _pair.Device.TestMigration.Received.Clear();
        Ends += alive ? 0 : 1;
        Reasons[_pair.Server.LastEnd] = Reasons.GetValueOrDefault(_pair.Server.LastEnd) + 1;
    }

    public async ValueTask DisposeAsync()
    {
        await _pair.DisposeAsync();
        _memory.Dispose();
        _eventFd.Dispose();
        _null.Dispose();
    }

    private static ConformanceDevice Create() => new(static pci => pci.Intx()
        .Bar(1, new RamBlock(0x10000))
        .Bar(2, 0x4000, Pci.PciBarKind.Memory32, true, static bar => bar.Memory(0x1000, new Pci.BarMemory("shared", 0x1000)))
        .Msix(64, 4)
        .Vendor([1, 2, 3, 4], [0xFF, 0xFF, 0xFF, 0xFF])
        .Doorbell(1, 0x100, 4, static _ => { }));

    /// <returns>Whether the connection is still there.</returns>
    private bool RunBatch(RawVfioUserClient client, ushort probe)
    {
        _batch.Clear();
        int length = 0;
        int count = 1 + _random.Next(LargestBatch);
        for (int i = 0; i < count; i++)
        {
            _id = (ushort)((_id + 1) % FirstProbe);
            byte[] message = _corpus.Next(_random, _id);
            message.CopyTo(_buffer, length);
            length += message.Length;
            _batch[_id] = message;
        }

        // With the first of them: the descriptors of a message come with its first byte.
        FileDescriptor[] known = [_memory.Descriptor, _eventFd.Descriptor, _null];
        FileDescriptor[] sent = [.. Enumerable.Range(0, _random.Next(2) == 0 ? _random.Next(1, 5) : 0).Select(_ => known[_random.Next(known.Length)])];
        byte[] end = VfioUserPeer.Compose(probe, VfioUserCommand.DeviceGetInfo, 0, s_info);
        end.CopyTo(_buffer, length);
        bool whole = client.SendBytes(_buffer.AsSpan(0, length + end.Length), sent) == Errno.None;
        int answered = 0;
        bool again = false;
        try
        {
            while (Receive(client, probe, ref again) is { } reply)
            {
                using (reply)
                {
                    if (!reply.IsReply)
                    {
                        // The device does DMA by message: some answer, some error, or nothing.
                        Answer(client, reply);
                    }
                    else if (reply.Id == probe && reply.Command == VfioUserCommand.DeviceGetInfo)
                    {
                        Swallowed += again ? 1 : 0;
                        Messages += count + 1;
                        return true;
                    }
                    else if (_batch.TryGetValue(reply.Id, out byte[]? message))
                    {
                        answered++;
                        _corpus.Note(message, reply.Header);
                    }
                }
            }
        }
        catch (Exception exception) when (exception is VfioException or IOException)
        {
            // It was ended with something unread, which is ECONNRESET, or in the middle of a reply that the client did not take.
        }

        catch (TimeoutException exception)
        {
            string batch = string.Join(", ", _batch.Values.Select(Convert.ToHexString));
            throw new TimeoutException($"Neither an answer nor the end within {s_deadline.TotalSeconds} s after these messages: {batch}", exception);
        }

        // What ended it was processed, too.
        Messages += answered + (whole ? 1 : 0);
        return false;
    }

    /// <summary>
    /// The next message. A wrong size may have made the question at the end a part of another message, to its last byte: then nothing is to be answered, and
    /// a second question is.
    /// </summary>
    private static VfioUserMessage? Receive(RawVfioUserClient client, ushort probe, ref bool again)
    {
        if (!again && !client.HasInput(s_swallowed))
        {
            again = true;
            _ = client.SendBytes(VfioUserPeer.Compose(probe, VfioUserCommand.DeviceGetInfo, 0, s_info));
        }

        return client.Receive();
    }

    private void Answer(RawVfioUserClient client, VfioUserMessage request)
    {
        byte[] payload = new byte[16 + (request.Command == VfioUserCommand.DmaRead ? (int)Math.Min(request.Read<vfio_user_dma_access>().count, 1 << 16) : 0)];
        request.Payload.AsSpan(0, Math.Min(16, request.Payload.Length)).CopyTo(payload);
        byte[] reply = VfioUserPeer.Compose(request.Id, request.Command, VfioUserFlags.Reply, payload);
        _ = client.SendBytes(_random.Next(2) == 0 ? Mutation.Apply(_random, reply) : reply);
    }
}
