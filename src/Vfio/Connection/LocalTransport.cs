namespace Vfio;

/// <summary>Reaches the devices of a host in this process: <c>local:NAME</c>.</summary>
/// <param name="host">The host.</param>
public sealed class LocalTransport(VfioHost host) : IVfioTransport
{
    /// <inheritdoc/>
    public string Scheme => "local";

    /// <inheritdoc/>
    public ValueTask<VfioConnection> ConnectAsync(string target, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return ValueTask.FromResult<VfioConnection>(LocalConnection.Open(host, target));
    }
}
