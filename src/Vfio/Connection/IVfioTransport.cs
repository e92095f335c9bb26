namespace Vfio;

/// <summary>One way to reach devices, named by the scheme of an address.</summary>
public interface IVfioTransport
{
    /// <summary>The scheme: what stands before the colon of an address, in lower case.</summary>
    string Scheme { get; }

    /// <summary>Opens a device.</summary>
    /// <param name="target">The address behind the scheme and its colon.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">The device cannot be reached; the message says why and what to do.</exception>
    ValueTask<VfioConnection> ConnectAsync(string target, CancellationToken cancellationToken);
}
