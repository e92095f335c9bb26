using Vfio.Iommu;

namespace Vfio.User;

/// <summary>How a <see cref="VfioUserServer"/> treats its clients.</summary>
public sealed record VfioUserServerOptions
{
    /// <summary>What happens to a second client.</summary>
    public SecondClientPolicy SecondClient { get; init; } = SecondClientPolicy.Refuse;

    /// <summary>How memory that a client hands over by descriptor is reached.</summary>
    public DescriptorMemoryPolicy ClientMemory { get; init; } = DescriptorMemoryPolicy.Safe;

    /// <summary>
    /// Reaches the memory of clients by messages to them alone, as if they had handed over no descriptors: slow, but nothing of theirs is
    /// opened or mapped here, and every transfer passes through the client.
    /// </summary>
    public bool MessageDma { get; init; }

    /// <summary>Users whose clients are served, by user id; null for the user that the server runs as, and root.</summary>
    public IReadOnlyCollection<uint>? AllowedUsers { get; init; }

    /// <summary>Time from the connection to the end of a client's VERSION message.</summary>
    public TimeSpan NegotiationTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Time from a message's first byte to its last, to its being sent, and to a client's answer to a DMA request.</summary>
    public TimeSpan MessageTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a connection's thread goes on looking for the next message, at most, before it sleeps in the kernel; zero to sleep at once,
    /// <see cref="Timeout.InfiniteTimeSpan"/> never to. Waking up is most of the time of a round trip: looking halves it, for a
    /// processor that does nothing else meanwhile. The default, about what waking up takes, is spent only where it pays: a client whose messages are
    /// farther apart is not looked for, nor one that has no processor of its own, nor any while more connections are busy than there are processors. A client whose
    /// messages were found so eight times in a row and more is looked for four times as long, until that is in vain.
    /// </summary>
    public TimeSpan BusyPoll { get; init; } = TimeSpan.FromMicroseconds(50);

    /// <summary>
    /// How long a connection without traffic keeps its thread and buffers, and how long the thread of a client that has gone waits for the next one. At rest
    /// neither is held; the message or the client that ends the rest is served some tens of microseconds later. At least a millisecond.
    /// </summary>
    public TimeSpan RestAfter { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Largest count of a message that carries data, in bytes; at most 64 MiB, which is QEMU's bound.</summary>
    public uint MaximumDataTransferSize { get; init; } = 1 << 20;

    /// <summary>Descriptors taken with one message; at most 16, which is QEMU's bound on what a server may announce.</summary>
    public int MaximumMessageFds { get; init; } = 16;

    /// <summary>DMA windows that a client may hold; further ones are refused with ENOSPC.</summary>
    public int MaximumDmaMaps { get; init; } = 65_535;

    /// <summary>
    /// Mappings of a client's memory in this process; DMA windows that would need a further one are reached by positioned reads and writes.
    /// Windows of one file share mappings of a gibibyte or more. A process has 65530 mappings in all (<c>vm.max_map_count</c>), its
    /// runtime's own among them, which a client must not use up.
    /// </summary>
    public int MaximumMappings { get; init; } = 16_384;

    /// <summary>Announces REGION_WRITE_MULTI. Off by default: QEMU 10.1 and 10.2 misbehave when it is announced. It is always understood.</summary>
    public bool AnnounceWriteMultiple { get; init; }

    /// <summary>Answers DEVICE_GET_REGION_IO_FDS with the 48-byte entries of libvfio-user in place of the specification's 40.</summary>
    public bool LongIoFdEntries { get; init; }

    /// <summary>
    /// Turns of the unregister loop after which the client is disconnected, so that a device whose client cannot hear the REQ interrupt
    /// becomes free; 0 disconnects at the first, null never.
    /// </summary>
    public uint? DisconnectAfterRequests { get; init; } = 1;
}
