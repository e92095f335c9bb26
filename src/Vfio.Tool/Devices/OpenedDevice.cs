using Vfio.Kernel;
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

    /// <summary>
    /// Opens an address: <c>unix:PATH</c>, <c>kernel:FUNCTION</c> of the running kernel's VFIO, or <c>local:MODEL[,key=value…]</c> for a
    /// fresh device in this process.
    /// </summary>
    public static async Task<OpenedDevice> OpenAsync(string address, CancellationToken cancellationToken, KernelOptions? kernel = null, VfioUserClientOptions? user = null)
    {
        const string Local = "local:";
        if (!address.StartsWith(Local, StringComparison.Ordinal))
        {
            if (!(address.StartsWith("unix:", StringComparison.Ordinal) || address.StartsWith("kernel:", StringComparison.Ordinal)) || address.EndsWith(':'))
            {
                throw new UsageException($"'{address}' is no address; unix:PATH, kernel:FUNCTION and local:MODEL[,key=value…] are.");
            }

            VfioConnector connector = new(new UnixTransport(user), new KernelTransport(kernel));
            return new OpenedDevice(await connector.ConnectAsync(address, cancellationToken), null);
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
