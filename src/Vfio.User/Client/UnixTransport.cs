namespace Vfio.User;

/// <summary>Reaches the devices of vfio-user servers: <c>unix:PATH</c>.</summary>
/// <param name="options">How servers are treated; null for the defaults.</param>
public sealed class UnixTransport(VfioUserClientOptions? options = null) : IVfioTransport
{
    /// <inheritdoc/>
    public string Scheme => "unix";

    /// <inheritdoc/>
    /// <remarks>Connecting and the questions that follow block, so they run on the thread pool.</remarks>
    public async ValueTask<VfioConnection> ConnectAsync(string target, CancellationToken cancellationToken)
        => await VfioUserConnection.ConnectAsync(target, options, cancellationToken).ConfigureAwait(false);
}
