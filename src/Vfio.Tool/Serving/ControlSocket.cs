using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.User;

namespace Vfio.Tool.Serving;

/// <summary>
/// Where a process that serves tells about itself: whoever connects says a line, which may be empty or <c>collect</c>, and gets one JSON document.
/// For its own user and root only.
/// </summary>
internal sealed class ControlSocket : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    /// <summary>For the question; who has none, as a person with socat, is told after it.</summary>
    private static readonly TimeSpan s_question = TimeSpan.FromMilliseconds(200);
    private readonly DeviceHost _devices;
    private readonly UnixSocket _listener;
    private readonly string _path;
    private readonly IDisposable _registration;

    private ControlSocket(EventLoop loop, DeviceHost devices, UnixSocket listener, string path)
    {
        _devices = devices;
        _listener = listener;
        _path = path;
        _ = listener.Descriptor.TrySetNonBlocking();
        _registration = loop.Register(listener.Descriptor, EventLoopEvents.Read, _ => Accept());
    }

    /// <summary>The folder in which every such process of this user has its socket.</summary>
    public static string Folder
        => Environment.IsPrivilegedProcess ? "/run/vfio.net"
            : Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } runtime ? Path.Combine(runtime, "vfio.net")
            : string.Create(CultureInfo.InvariantCulture, $"/tmp/vfio.net-{UnixSocket.OwnUserId}");

    /// <summary>Opens the socket of this process.</summary>
    /// <param name="loop">The loop that accepts.</param>
    /// <param name="devices">What to tell.</param>
    /// <returns>The socket, or null when the folder cannot be used: a process serves without it, too.</returns>
    public static ControlSocket? TryOpen(EventLoop loop, DeviceHost devices)
    {
        string path = Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}.sock"));
        try
        {
#pragma warning disable CA1416 // Linux only, as the whole of it.
            if (!MakeFolder())
            {
                return null;
            }

            // Left over from a process that had this number before.
            File.Delete(path);
            if (UnixSocket.TryListen(path, 16, out UnixSocket? listener) != Errno.None)
            {
                return null;
            }

            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
#pragma warning restore CA1416
            return new ControlSocket(loop, devices, listener!, path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Makes the folder when it is not there.</summary>
    /// <returns>False when it is another user's too, or cannot be made.</returns>
    public static bool MakeFolder()
    {
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        try
        {
#pragma warning disable CA1416 // Linux only, as the whole of it.
            Directory.CreateDirectory(Folder, Private);
            return File.GetUnixFileMode(Folder) == Private;
#pragma warning restore CA1416
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Asks a process.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="collect">Whether it is to collect its garbage before: what it then has is what it needs.</param>
    /// <returns>What it told, or null when nobody is there any more.</returns>
    public static JsonObject? Ask(string path, bool collect = false)
    {
        const int Most = 16 << 20;
        if (UnixSocket.TryConnect(path, out UnixSocket? socket, s_patience) != Errno.None)
        {
            return null;
        }

        using (socket)
        {
            using DescriptorList descriptors = new();
            using MemoryStream answer = new();
            byte[] buffer = new byte[64 << 10];
            socket!.SetReceiveTimeout(s_patience);
            _ = socket.Send(collect ? "collect\n"u8 : "\n"u8);
            while (answer.Length < Most && socket.Receive(buffer, descriptors, ReceiveFlags.None) is { IsError: false, Count: > 0 and int count })
            {
                answer.Write(buffer, 0, count);
            }

            try
            {
                return JsonNode.Parse(answer.ToArray()) as JsonObject;
            }
            catch (System.Text.Json.JsonException)
            {
                return null;
            }
        }
    }

    public void Dispose()
    {
        _registration.Dispose();
        _listener.Dispose();
        File.Delete(_path);
    }

    /// <summary>On the event loop; the answer, which may have to wait for the other side, is another thread's.</summary>
    private void Accept()
    {
        if (_listener.TryAccept(out UnixSocket? socket) == Errno.None && _devices.Workers.TryRun(() => Answer(socket!)) != Errno.None)
        {
            socket!.Dispose();
        }
    }

    private void Answer(UnixSocket socket)
    {
        using (socket)
        {
            socket.SetSendTimeout(s_patience);
            socket.SetReceiveTimeout(s_question);
            Span<byte> question = stackalloc byte[16];
            if (question[..socket.Receive(question, null, ReceiveFlags.None).Count].StartsWith("collect\n"u8))
            {
                // Twice: what has a finalizer goes at the second time.
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                GC.WaitForPendingFinalizers();
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }

            _ = socket.Send(Encoding.UTF8.GetBytes(Describe().ToJsonString()), default, default);
        }
    }

    /// <summary>What the last collection left, or what was allocated before the first.</summary>
    /// <remarks>Not <see cref="GC.GetTotalMemory"/>, which was seen to answer less than nothing in a process that collects often.</remarks>
    private static long ManagedBytes => GC.GetGCMemoryInfo(GCKind.Any) is { Index: > 0 } last ? last.HeapSizeBytes : GC.GetTotalAllocatedBytes();

    private JsonObject Describe() => new()
    {
        ["process"] = Environment.ProcessId,
        ["threads"] = _devices.Workers.Count,
        ["residentBytes"] = Environment.WorkingSet,
        ["managedBytes"] = ManagedBytes,
        ["devices"] = new JsonArray([.. _devices.Devices.Select(static device => (JsonNode)Describe(device))]),
    };

    private static JsonObject Describe(RunningDevice device)
    {
        ServerStatistics statistics = device.Server.GetStatistics();
        return new JsonObject
        {
            ["name"] = device.Description.Name,
            ["model"] = device.Description.Model,
            ["place"] = device.Description.Place,
            ["client"] = statistics.Client is not { } client ? null : new JsonObject
            {
                ["process"] = client.ProcessId,
                ["user"] = client.UserId,
                ["seconds"] = Math.Round(statistics.Connected.TotalSeconds, 3),
            },
            ["connections"] = statistics.Connections,
            ["messages"] = statistics.Messages,
            ["dmaAreas"] = statistics.DmaAreas,
            ["dmaBytes"] = statistics.DmaBytes,
            ["dma"] = new JsonObject
            {
                ["mapped"] = Describe(statistics.DmaMapped),
                ["descriptor"] = Describe(statistics.DmaByDescriptor),
                ["message"] = Describe(statistics.DmaByMessage),
                ["mappings"] = statistics.DmaMappings,
                ["descriptors"] = statistics.DmaDescriptors,
            },
        };
    }

    private static JsonObject Describe(AreaUsage usage) => new() { ["areas"] = usage.Areas, ["bytes"] = usage.Bytes };
}
