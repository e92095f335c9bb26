namespace Vfio.Devices.Nvme;

/// <summary>Settings of one namespace of an <see cref="NvmeDevice"/>.</summary>
public sealed record NvmeNamespaceOptions
{
    /// <summary>Length in bytes, rounded down to whole blocks; 0 where the backend needs none.</summary>
    public ulong Size { get; init; } = 64 << 20;

    /// <summary>Bytes of a logical block: 512 or 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>Bytes of metadata of a block: 0 or 8.</summary>
    public int MetadataSize { get; init; }

    /// <summary>Whether the host has metadata behind the data of each block, instead of in a buffer of its own. Linux wants the latter.</summary>
    public bool IsMetadataExtended { get; init; }

    /// <summary>Type of protection information, which are the 8 bytes of metadata: 1 to 3, or 0 for none.</summary>
    public int Protection { get; init; }

    /// <summary>Makes what keeps the blocks, at least one block, given <see cref="Size"/>; null for a <see cref="MemoryBackend"/>.</summary>
    public Func<ulong, INvmeBackend>? Backend { get; init; }

    /// <summary>
    /// Makes what keeps metadata, given its length in bytes, of which there are 8 for each 512 of the blocks; null for memory when <see cref="Backend"/>
    /// is null too, and else for no metadata: the host then cannot format the namespace to have any.
    /// </summary>
    public Func<ulong, INvmeBackend>? MetadataBackend { get; init; }

    /// <summary>Divides the namespace into zones that are written from their start on; null for blocks that are written in any order.</summary>
    public NvmeZoneOptions? Zones { get; init; }

    /// <summary>What is wrong with the settings.</summary>
    /// <returns>A sentence that says what is accepted; null when all is well.</returns>
    internal string? FindMistake()
    {
        if (BlockSize is not (512 or 4096))
        {
            return $"nvme blocks of {BlockSize} bytes: 512 and 4096 are accepted.";
        }

        if (MetadataSize is not (0 or BlockFormat.TupleLength))
        {
            return $"nvme metadata of {MetadataSize} bytes: 0 and 8 are accepted.";
        }

        if (Protection is < 0 or > 3 || (Protection != 0 && MetadataSize == 0))
        {
            return $"nvme protection of type {Protection} with metadata of {MetadataSize} bytes: 0, and with 8 bytes 1 to 3, are accepted.";
        }

        if (MetadataSize != 0 && Backend is not null && MetadataBackend is null)
        {
            return "nvme metadata needs a place of its own (MetadataBackend, or metafile=PATH) when the blocks have one.";
        }

        if (Zones?.FindMistake(this) is { } mistake)
        {
            return mistake;
        }

        return Size > long.MaxValue || (Backend is null && Size < (ulong)BlockSize)
            ? $"nvme namespace of {Size} bytes: one block to 2⁶³ − 1 bytes are accepted."
            : null;
    }
}
