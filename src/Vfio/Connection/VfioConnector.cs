using Vfio.Abi;

namespace Vfio;

/// <summary>Opens devices by address, over the transports it was given.</summary>
/// <param name="transports">The transports; each scheme once.</param>
public sealed class VfioConnector(params IVfioTransport[] transports)
{
    /// <summary>The schemes it knows.</summary>
    public IReadOnlyList<string> Schemes { get; } = [.. transports.Select(static transport => transport.Scheme)];

    /// <summary>Opens the device at an address.</summary>
    /// <param name="address">"scheme:target", such as "local:edu0" or "unix:/run/edu.sock".</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">The address has no known scheme, or the device cannot be reached.</exception>
    public ValueTask<VfioConnection> ConnectAsync(string address, CancellationToken cancellationToken = default)
    {
        int colon = address.IndexOf(':', StringComparison.Ordinal);
        string scheme = colon > 0 ? address[..colon] : string.Empty;
        foreach (IVfioTransport transport in transports)
        {
            if (transport.Scheme == scheme)
            {
                return transport.ConnectAsync(address[(colon + 1)..], cancellationToken);
            }
        }

        throw new VfioException(
            Errno.EINVAL,
            $"open {address}",
            $"An address is SCHEME:TARGET; the schemes here are {string.Join(", ", Schemes)}.");
    }
}
