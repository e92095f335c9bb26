using System.Runtime.InteropServices;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>A vfio-user server that does what a script says: for tests of clients against servers that are odd, slow, broken or hostile.</summary>
/// <remarks>
/// The script runs on a thread of its own for each client, one after the other. What it throws, other than for a client that hung up, is
/// thrown again by <see cref="DisposeAsync"/>.
/// </remarks>
public sealed class ScriptedVfioUserServer : IAsyncDisposable
{
    /// <summary>What <see cref="AcceptVersion"/> answers by itself.</summary>
    public const string DefaultCapabilities = """{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576}}""";

    private const int RegionCount = 9;
    private const int IrqCount = 5;
    private readonly UnixSocket _listener;
    private readonly DirectoryInfo _directory;
    private readonly Action<VfioUserPeer> _script;
    private readonly Thread _thread;
    private readonly Lock _peerLock = new();
    private Exception? _failure;
    private volatile bool _stopped;
    private VfioUserPeer? _peer;

    private ScriptedVfioUserServer(DirectoryInfo directory, string path, UnixSocket listener, Action<VfioUserPeer> script)
    {
        _directory = directory;
        SocketPath = path;
        _listener = listener;
        _script = script;
        _thread = new Thread(Run) { IsBackground = true, Name = "scripted vfio-user server" };
        _thread.Start();
    }

    /// <summary>Where it listens, in a directory of its own.</summary>
    public string SocketPath { get; }

    /// <summary>Starts a server.</summary>
    /// <param name="script">What happens with a client, from the VERSION message on.</param>
    /// <returns>The server, listening.</returns>
    public static ScriptedVfioUserServer Start(Action<VfioUserPeer> script)
    {
        ArgumentNullException.ThrowIfNull(script);
        DirectoryInfo directory = Directory.CreateTempSubdirectory("vfio-");
        string path = Path.Combine(directory.FullName, "socket");
        VfioException.ThrowIfError(UnixSocket.TryListen(path, 16, out UnixSocket? listener), $"listen on {path}");
        return new ScriptedVfioUserServer(directory, path, listener!, script);
    }

    /// <summary>Starts a server that negotiates and describes an ordinary device by itself, and leaves the rest to a handler.</summary>
    /// <param name="handler">Gets every command first, also those of the description; returns true when it dealt with it.</param>
    /// <param name="capabilities">The JSON to negotiate with.</param>
    /// <returns>The server, listening.</returns>
    public static ScriptedVfioUserServer StartDevice(Func<VfioUserPeer, VfioUserMessage, bool> handler, string capabilities = DefaultCapabilities)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return Start(peer =>
        {
            AcceptVersion(peer, capabilities);
            while (peer.Receive() is { } message)
            {
                using (message)
                {
                    if (message.IsReply || handler(peer, message))
                    {
                        continue;
                    }

                    AnswerAsDevice(peer, message);
                }
            }
        });
    }

    /// <summary>Receives the VERSION message and accepts it.</summary>
    /// <param name="peer">The client.</param>
    /// <param name="capabilities">The JSON to answer with.</param>
    public static void AcceptVersion(VfioUserPeer peer, string? capabilities = DefaultCapabilities)
    {
        ArgumentNullException.ThrowIfNull(peer);
        using VfioUserMessage version = peer.Expect(VfioUserCommand.Version);
        peer.Reply(version, RawVfioUserClient.VersionPayload(0, version.Read<vfio_user_version>().minor, capabilities));
    }

    /// <summary>
    /// Answers a command as a device with a BAR 0 and a configuration space of 4 KiB of zeros, one MSI-X vector and nothing else would.
    /// </summary>
    /// <param name="peer">The client.</param>
    /// <param name="message">The command.</param>
    public static void AnswerAsDevice(VfioUserPeer peer, VfioUserMessage message)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(message);
        switch (message.Command)
        {
            case VfioUserCommand.DeviceGetInfo:
                peer.Reply(message, new vfio_user_device_info { argsz = 16, flags = 3, num_regions = RegionCount, num_irqs = IrqCount });
                break;
            case VfioUserCommand.DeviceGetRegionInfo:
                peer.Reply(message, DescribeRegion(message.Read<vfio_region_info>().index));
                break;
            case VfioUserCommand.DeviceGetIrqInfo:
                uint irq = message.Read<vfio_irq_info>().index;
                peer.Reply(message, new vfio_irq_info { argsz = 16, flags = 1, index = irq, count = irq == (uint)PciInterrupt.Msix ? 1u : 0 });
                break;
            case VfioUserCommand.RegionRead:
                vfio_user_region_access read = message.Read<vfio_user_region_access>();
                byte[] data = new byte[16 + read.count];
                MemoryMarshal.Write(data, in read);
                peer.Reply(message, data);
                break;
            case VfioUserCommand.RegionWrite:
                if (!message.WantsNoReply)
                {
                    peer.Reply(message, message.Payload.AsSpan(0, 16));
                }

                break;
            case VfioUserCommand.DmaUnmap:
                peer.Reply(message, message.Payload.AsSpan(0, 24));
                break;
            case VfioUserCommand.DmaMap or VfioUserCommand.DeviceSetIrqs or VfioUserCommand.DeviceReset:
                peer.Reply(message);
                break;
            default:
                peer.ReplyError(message, Errno.EINVAL);
                break;
        }
    }

    /// <summary>What <see cref="AnswerAsDevice"/> says about a region.</summary>
    /// <param name="index">The region.</param>
    /// <returns>The structure.</returns>
    public static vfio_region_info DescribeRegion(uint index) => new()
    {
        argsz = 32,
        flags = index is 0 or (uint)PciRegion.Config ? 3u : 0,
        index = index,
        size = index is 0 or (uint)PciRegion.Config ? 4096u : 0,
    };

    /// <summary>Stops, and removes the socket.</summary>
    /// <returns>A task that completes when the script has ended.</returns>
    /// <exception cref="InvalidOperationException">The script failed; the inner exception says how.</exception>
    public async ValueTask DisposeAsync()
    {
        if (_stopped)
        {
            return;
        }

        lock (_peerLock)
        {
            _stopped = true;
            _listener.Shutdown();
            _peer?.Socket.Shutdown();
        }

        await Task.Run(_thread.Join).ConfigureAwait(false);
        _listener.Dispose();
        _directory.Delete(recursive: true);
        if (_failure is not null)
        {
            throw new InvalidOperationException("The server's script failed.", _failure);
        }
    }

    private void Run()
    {
        while (!_stopped && _listener.TryAccept(out UnixSocket? socket) == Errno.None)
        {
            using VfioUserPeer peer = new(socket!, TimeSpan.FromSeconds(30));
            lock (_peerLock)
            {
                if (_stopped)
                {
                    return;
                }

                _peer = peer;
            }

            try
            {
                _script(peer);
            }
            catch (EndOfStreamException)
            {
                // The client has hung up, which every client does in the end.
            }
#pragma warning disable CA1031 // Kept for whoever disposes the server, where the test can see it.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                if (!_stopped && exception is not VfioException { Errno: Errno.EPIPE or Errno.ECONNRESET })
                {
                    _failure ??= exception;
                }
            }

            lock (_peerLock)
            {
                _peer = null;
            }
        }
    }
}
