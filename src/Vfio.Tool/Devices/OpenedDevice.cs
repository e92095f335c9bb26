using Vfio.User;

namespace Vfio.Tool.Devices;

/// <summary>A connection that a command works on, and the host behind it when the address is <c>local:</c>.</summary>
internal sealed class OpenedDevice : IAsyncDisposable
{
    private readonly ToolHost? _host;

    private OpenedDevice(VfioConnection connection, ToolHost? host)
    {
        Connection = connection;
        _host = host;
    }

    public VfioConnection Connection { get; }

    /// <summary>Opens an address: <c>unix:PATH</c>, or <c>local:MODEL[,key=value…]</c> for a fresh device in this process.</summary>
    public static async Task<OpenedDevice> OpenAsync(string address, CancellationToken cancellationToken)
    {
        const string Local = "local:";
        if (!address.StartsWith(Local, StringComparison.Ordinal))
        {
            const string Unix = "unix:";
            if (!address.StartsWith(Unix, StringComparison.Ordinal) || address.Length == Unix.Length)
            {
                throw new UsageException($"'{address}' is no address; unix:PATH and local:MODEL[,key=value…] are.");
            }

            return new OpenedDevice(await new VfioConnector(new UnixTransport()).ConnectAsync(address, cancellationToken), null);
        }

        string[] parts = address[Local.Length..].Split(',');
        ToolHost host = new();
        try
        {
            _ = host.Add(parts[0], DeviceCatalog.Prepare(parts[0], parts[1..]));
            return new OpenedDevice(LocalConnection.Open(host.Host, parts[0]), host);
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Connection.DisposeAsync();
        if (_host is not null)
        {
            await _host.DisposeAsync();
        }
    }
}
