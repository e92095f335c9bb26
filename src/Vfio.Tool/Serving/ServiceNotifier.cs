using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Vfio.Tool.Serving;

/// <summary>Tells a service manager how this process is (<c>sd_notify(3)</c>); does nothing when none asked for it.</summary>
internal sealed class ServiceNotifier
{
    private readonly string? _path = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");

    public void Ready() => Send("READY=1");

    public void Reloading() => Send(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000)}"));

    public void Stopping() => Send("STOPPING=1");

    private void Send(string state)
    {
        if (string.IsNullOrEmpty(_path))
        {
            return;
        }

        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

            // A leading @ stands for the abstract name space, whose names begin with a zero.
            socket.SendTo(Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(_path[0] == '@' ? "\0" + _path[1..] : _path));
        }
        catch (SocketException)
        {
            // The manager has gone: nobody is there to be told.
        }
    }
}
