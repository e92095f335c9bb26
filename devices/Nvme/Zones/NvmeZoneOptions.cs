using System.Numerics;

namespace Vfio.Devices.Nvme;

/// <summary>How a namespace is divided into zones that are written from their start on (Zoned Namespace Command Set 1.1).</summary>
public sealed record NvmeZoneOptions
{
    /// <summary>The smallest zone in bytes.</summary>
    internal const ulong MinimumSize = 64 * 1024;

    /// <summary>The most zones of a namespace: each takes 16 bytes of memory.</summary>
    internal const ulong MaximumCount = 1 << 22;

    /// <summary>Zone Size (ZSZE) in bytes: a power of two from 64 KiB, as Linux wants it. The namespace is a whole number of zones.</summary>
    public ulong Size { get; init; } = 64 << 20;

    /// <summary>Zone Capacity (ZCAP) in bytes, a multiple of 4096: what of each zone can be written; 0 for all of it.</summary>
    public ulong Capacity { get; init; }

    /// <summary>How many zones may be open at a time (MOR + 1); 0 for no limit.</summary>
    public int MaxOpen { get; init; }

    /// <summary>How many zones may be open or closed at a time, that is written in part (MAR + 1); 0 for no limit.</summary>
    public int MaxActive { get; init; }

    /// <summary>
    /// Makes what keeps how far the zones are written, given its length in bytes. Needed where the blocks outlive the program: else they would be there and the
    /// write pointers not. Null for memory.
    /// </summary>
    public Func<ulong, INvmeBackend>? Backend { get; init; }

    /// <summary>What is wrong with the settings of a namespace with such zones.</summary>
    /// <returns>A sentence that says what is accepted; null when all is well.</returns>
    internal string? FindMistake(NvmeNamespaceOptions ns)
    {
        if (!BitOperations.IsPow2(Size) || Size < MinimumSize)
        {
            return $"nvme zones of {Size} bytes: a power of two from 64K is accepted.";
        }

        if (Capacity > Size || Capacity % 4096 != 0)
        {
            return $"nvme zones with a capacity of {Capacity} bytes: a multiple of 4096 up to the zones' size is accepted, and 0 for all of it.";
        }

        if (MaxOpen < 0 || MaxActive < 0 || (MaxActive != 0 && MaxOpen > MaxActive))
        {
            return $"nvme with {MaxOpen} open and {MaxActive} active zones: an open zone is active; 0 is no limit.";
        }

        return ns.MetadataSize != 0 ? "nvme zones with metadata: the blocks of zones have none here." : null;
    }
}
