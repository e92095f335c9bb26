using Vfio.User;

namespace Vfio.Testing;

/// <summary>How the parts of a <see cref="DevicePair{TDevice}"/> are made.</summary>
public sealed record DevicePairOptions
{
    /// <summary>Clock, logging and limits of the host.</summary>
    public VfioHostOptions? Host { get; init; }

    /// <summary>How the server treats the client.</summary>
    public VfioUserServerOptions? Server { get; init; }

    /// <summary>How the client treats the server.</summary>
    public VfioUserClientOptions? Client { get; init; }
}
