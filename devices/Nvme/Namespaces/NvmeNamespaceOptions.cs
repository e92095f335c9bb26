namespace Vfio.Devices.Nvme;

/// <summary>Settings of one namespace of an <see cref="NvmeDevice"/>.</summary>
public sealed record NvmeNamespaceOptions
{
    /// <summary>Length in bytes, rounded down to whole blocks; 0 where the backend needs none.</summary>
    public ulong Size { get; init; } = 64 << 20;

    /// <summary>Bytes of a logical block: 512 or 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>Makes what keeps the blocks, at least one block, given <see cref="Size"/>; null for a <see cref="MemoryBackend"/>.</summary>
    public Func<ulong, INvmeBackend>? Backend { get; init; }
}
