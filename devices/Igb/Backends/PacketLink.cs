namespace Vfio.Devices.Igb;

/// <summary>A segment of Ethernet in memory: each port sees what the others send. Two ports are a cable.</summary>
public sealed class PacketLink
{
    private static readonly Lock s_namesLock = new();
    private static readonly Dictionary<string, PacketLink> s_named = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private volatile LinkPort[] _ports = [];

    /// <summary>The link of this process with a name; it is made when it is asked for the first time.</summary>
    /// <param name="name">The name, not empty.</param>
    /// <returns>The link.</returns>
    public static PacketLink Named(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (s_namesLock)
        {
            if (!s_named.TryGetValue(name, out PacketLink? link))
            {
                link = new PacketLink();
                s_named.Add(name, link);
            }

            return link;
        }
    }

    /// <summary>Makes a port, which is on the link from its start to its disposal.</summary>
    /// <returns>The port.</returns>
    public IPacketBackend CreatePort() => new LinkPort(this);

    private void Add(LinkPort port)
    {
        lock (_lock)
        {
            _ports = [.. _ports, port];
        }
    }

    private void Remove(LinkPort port)
    {
        lock (_lock)
        {
            _ports = [.. _ports.Where(other => other != port)];
        }
    }

    /// <summary>One end of the link.</summary>
    private sealed class LinkPort(PacketLink link) : IPacketBackend
    {
        private IPacketSink? _sink;

        public bool IsUp => true;

        public void Start(IPacketSink sink)
        {
            _sink = sink;
            link.Add(this);
        }

        public void Send(ReadOnlySpan<byte> frame)
        {
            foreach (LinkPort port in link._ports)
            {
                if (port != this)
                {
                    port._sink?.Receive(frame);
                }
            }
        }

        public void Dispose() => link.Remove(this);
    }
}
