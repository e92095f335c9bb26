using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>Where an NBD server is, which export is meant, and how patient the client is (the NBD project's <c>uri.md</c>).</summary>
internal sealed record NbdAddress
{
    /// <summary>The whole URI, for messages.</summary>
    public required string Text { get; init; }

    /// <summary>Name or address of the machine; null with a UNIX socket.</summary>
    public string? Host { get; init; }

    public int Port { get; init; } = NbdProtocol.DefaultPort;

    /// <summary>Path of the UNIX socket; null with TCP.</summary>
    public string? SocketPath { get; init; }

    /// <summary>Name of the export; empty for the server's default.</summary>
    public string Export { get; init; } = "";

    public bool IsReadOnly { get; init; }

    /// <summary>How long a request may go without an answer before its connection counts as lost. Also that of connecting and negotiating.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long requests wait for a lost server before they fail.</summary>
    public TimeSpan ReconnectDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long opening waits for a server that is not there yet.</summary>
    public TimeSpan OpenTimeout { get; init; }

    /// <summary>Where it is, for messages.</summary>
    public string Place => SocketPath is null ? $"{Host} port {Port}" : SocketPath;

    /// <summary>Reads what is behind the scheme.</summary>
    /// <exception cref="FormatException">It is no address.</exception>
    public static NbdAddress Parse(string text, string scheme, string place, BackendQuery query)
    {
        if (!place.StartsWith("//", StringComparison.Ordinal))
        {
            throw new FormatException($"nvme backend '{text}': nbd://HOST[:PORT][/EXPORT] or nbd+unix:///EXPORT?socket=PATH is accepted.");
        }

        int slash = place.IndexOf('/', 2);
        string authority = slash < 0 ? place[2..] : place[2..slash];
        var address = new NbdAddress
        {
            Text = text,
            Export = slash < 0 ? "" : Uri.UnescapeDataString(place[(slash + 1)..]),
            IsReadOnly = query.Switch("readonly", otherwise: false),
            Timeout = query.Seconds("timeout", TimeSpan.FromSeconds(30), least: 0.1),
            ReconnectDelay = query.Seconds("reconnect-delay", TimeSpan.FromSeconds(30)),
            OpenTimeout = query.Seconds("open-timeout", TimeSpan.Zero),
        };
        if (System.Text.Encoding.UTF8.GetByteCount(address.Export) > NbdProtocol.MaxName)
        {
            throw new FormatException($"nvme backend with an export name of more than {NbdProtocol.MaxName} bytes, which no NBD server takes.");
        }

        if (scheme == "nbd+unix")
        {
            return authority.Length != 0
                ? throw new FormatException($"nvme backend '{text}': three slashes are before the export, nbd+unix:///EXPORT?socket=PATH.")
                : address with { SocketPath = query.Text("socket") ?? throw new FormatException($"nvme backend '{text}': the server's socket is given as ?socket=PATH.") };
        }

        // [::1]:10809, host:10809, host.
        int colon = authority.LastIndexOf(':');
        string host = colon > authority.LastIndexOf(']') ? authority[..colon] : authority;
        int port = NbdProtocol.DefaultPort;
        if (host.Length == 0 || (host.Length != authority.Length
            && (!int.TryParse(authority.AsSpan(host.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is 0 or > 65535)))
        {
            throw new FormatException($"nvme backend '{text}': nbd://HOST[:PORT][/EXPORT] is accepted, with a port from 1 to 65535.");
        }

        return address with { Host = Uri.UnescapeDataString(host.Trim('[', ']')), Port = port };
    }

    /// <summary>Connects to the server.</summary>
    /// <param name="timeout">How long it may take, for each of the host's addresses.</param>
    /// <param name="socket">The connection after success, which does not wait.</param>
    /// <param name="failure">What came back, otherwise.</param>
    public bool TryConnect(TimeSpan timeout, out FileDescriptor? socket, out string failure)
    {
        socket = null;
        failure = "";
        Errno error = Errno.EADDRNOTAVAIL;
        if (SocketPath is not null)
        {
            error = UnixSocket.TryConnect(SocketPath, out UnixSocket? unix, timeout);
            socket = unix?.Descriptor;
        }
        else
        {
            IPAddress[] addresses;
            try
            {
                addresses = IPAddress.TryParse(Host, out IPAddress? number) ? [number] : Dns.GetHostAddresses(Host!);
            }
            catch (SocketException exception)
            {
                failure = $"the name '{Host}' was not found ({exception.SocketErrorCode})";
                return false;
            }

            foreach (IPAddress address in addresses)
            {
                error = TcpConnector.TryConnect(new IPEndPoint(address, Port), timeout, out socket);
                if (error == Errno.None)
                {
                    break;
                }
            }
        }

        error = error == Errno.None ? socket!.TrySetNonBlocking() : error;
        if (error == Errno.None)
        {
            return true;
        }

        socket?.Dispose();
        socket = null;
        failure = $"{error.GetName()} ({error.GetText()})";
        return false;
    }
}
