using Vfio.Iommu;

namespace Vfio.User;

/// <summary>How a <see cref="VfioUserConnection"/> treats its server.</summary>
public sealed record VfioUserClientOptions
{
    /// <summary>
    /// Time from a request to its reply, after which the request fails with ETIMEDOUT and a late reply is dropped; also the time within which the
    /// server must take what is sent to it. A server that does not take it loses the connection.
    /// </summary>
    public TimeSpan ReplyTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Time from the connection to the end of the server's VERSION reply.</summary>
    public TimeSpan NegotiationTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Largest count of a message that carries data, in bytes, that is announced and accepted from the server: 1 to 64 MiB.</summary>
    public uint MaximumDataTransferSize { get; init; } = 1 << 20;

    /// <summary>Descriptors taken with one message: 0 to 253. A server may send no region memory to a client that takes none.</summary>
    public int MaximumMessageFds { get; init; } = 16;

    /// <summary>
    /// Offers a second socket for the server's own requests. Without it, or with a server that declines, they are served on the connection's only
    /// socket: at once while a request of ours waits, otherwise within about a millisecond.
    /// </summary>
    public bool OfferTwinSocket { get; init; } = true;

    /// <summary>
    /// Writes to BARs ask for no reply: they return as soon as they are sent, in order with everything else, and their failures are not told.
    /// This is what QEMU does by default.
    /// </summary>
    public bool PostedWrites { get; init; }

    /// <summary>
    /// Gives the server the descriptors of DMA memory. Without them every access of the device to memory is a message to this client; slow, and
    /// useful to test that.
    /// </summary>
    public bool ShareMemory { get; init; } = true;

    /// <summary>Which region memory of the server's is mapped: by default only what it cannot shrink, since that would end this process with SIGBUS.</summary>
    public DescriptorMemoryPolicy RegionMemory { get; init; } = DescriptorMemoryPolicy.Safe;
}
