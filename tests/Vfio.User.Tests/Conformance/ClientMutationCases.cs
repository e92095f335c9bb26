using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Our client behind a man in the middle who changes the server's messages: every call answers in time, and nothing is left behind (spec vfio-user §6, 43 to 45).</summary>
public sealed class ClientMutationCases : ConformanceTest
{
    private const int Connections = 30;
    private const int Calls = 60;

    public static TheoryData<int> Seeds => [.. ModelRun.Seeds(2)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Mutated_answers_never_hurt_the_client(int seed)
    {
        Random random = new(seed);
        int relayed = 0;
        DevicePair<ConformanceDevice> pair = Serve();
        ScriptedVfioUserServer middle = Own(ScriptedVfioUserServer.Start(client => Relay(client, pair, new Random((seed * Connections) + Interlocked.Increment(ref relayed)))));
        VfioUserClientOptions options = new() { ReplyTimeout = TimeSpan.FromMilliseconds(100), NegotiationTimeout = TimeSpan.FromMilliseconds(500) };
        int opened = 0;
        int failures = 0;
        for (int i = 0; i < Connections; i++)
        {
            try
            {
                using VfioUserConnection connection = VfioUserConnection.Connect(middle.SocketPath, options with { OfferTwinSocket = random.Next(2) == 0 });
                opened++;
                for (int call = 0; call < Calls && connection.IsConnected; call++)
                {
                    failures += Call(connection, random) == Errno.None ? 0 : 1;
                }
            }
            catch (VfioException)
            {
                // It was told what is wrong: that is an answer.
            }

            WaitFor(() => !pair.Server!.HasClient);
        }

        // Neither extreme would have tested much.
        Assert.InRange(opened, 1, Connections);
        Assert.InRange(failures, 1, Connections * Calls);
    }

    private static Errno Call(VfioUserConnection connection, Random random)
    {
        byte[] buffer = new byte[1 << random.Next(8)];
        ulong pageSize = 4096;
        switch (random.Next(12))
        {
            case 0:
                return connection.TryWrite((uint)random.Next(9), (ulong)random.Next(128), buffer);
            case 1:
                using (EventFd eventFd = new())
                {
                    return connection.TrySetIrqs((PciInterrupt)random.Next(5), IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 1, [eventFd.Descriptor]).Error;
                }

            case 2:
                return connection.TryReset();
            case 3:
                return connection.TryGetMigrationFlags(out _);
            case 4:
                return connection.TrySetMigrationState((MigrationState)random.Next(6));
            case 5:
                return connection.TryReadMigrationData(buffer).Error;
            case 6:
                return connection.TryWriteMigrationData(buffer).Error;
            case 7:
                return connection.TryStartDirtyLog([], ref pageSize);
            case 8:
                _ = IovaRange.TryCreate(0, 0x10000, out IovaRange range);
                return connection.TryReadDirtyLog(range, 4096, new ulong[1]);
            case 9:
                try
                {
                    connection.AllocateDma(8192).Dispose();
                    return Errno.None;
                }
                catch (VfioException exception)
                {
                    return exception.Errno;
                }

            case 10:
                try
                {
                    connection.Map(PciRegion.Bar3, 0, 4096).Dispose();
                    return Errno.None;
                }
                catch (VfioException exception)
                {
                    return exception.Errno;
                }

            default:
                return connection.TryRead((uint)random.Next(9), (ulong)random.Next(128), buffer);
        }
    }

    /// <summary>Passes each command on, and its reply back, changed one time in twenty.</summary>
    private static void Relay(VfioUserPeer client, DevicePair<ConformanceDevice> pair, Random random)
    {
        if (UnixSocket.TryConnect(pair.SocketPath, out UnixSocket? socket) != Errno.None)
        {
            return;
        }

        using VfioUserPeer server = new(socket!, TimeSpan.FromSeconds(2));
        while (Next(client) is { } command)
        {
            using (command)
            {
                if (!PassOn(server, command, command.Id, VfioUserFlags.Command, 0, null) || (command.Command == VfioUserCommand.RegionWrite && command.WantsNoReply))
                {
                    return;
                }

                if (Next(server) is not { } reply)
                {
                    return;
                }

                using (reply)
                {
                    if (!PassOn(client, reply, reply.Id, (VfioUserFlags)reply.Header.flags, reply.Header.error_no, random))
                    {
                        return;
                    }
                }
            }
        }
    }

    private static VfioUserMessage? Next(VfioUserPeer peer)
    {
        try
        {
            return peer.Receive();
        }
        catch (Exception exception) when (exception is VfioException or IOException)
        {
            // The other side hung up in the middle, or has nothing to say any more.
            return null;
        }
    }

    private static bool PassOn(VfioUserPeer peer, VfioUserMessage message, ushort id, VfioUserFlags flags, uint error, Random? random)
    {
        FileDescriptor[] descriptors = [.. Enumerable.Range(0, message.DescriptorCount).Select(message.TakeDescriptor)];
        byte[] bytes = VfioUserPeer.Compose(id, message.Command, flags, message.Payload, error);
        if (random?.Next(20) == 0)
        {
            bytes = Mutation.Apply(random, bytes);
        }

        Errno result = peer.SendBytes(bytes, descriptors);
        Array.ForEach(descriptors, static descriptor => descriptor.Dispose());
        return result == Errno.None;
    }
}
