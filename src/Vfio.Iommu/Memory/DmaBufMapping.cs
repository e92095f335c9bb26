namespace Vfio.Iommu;

/// <summary>An importer's use of a <see cref="DmaBufFile"/>.</summary>
public sealed class DmaBufMapping : IDisposable
{
    private readonly DmaBufFile _buffer;
    private readonly Action _revoked;

    internal DmaBufMapping(DmaBufFile buffer, IReadOnlyList<MappableMemory> pieces, Action revoked)
    {
        _buffer = buffer;
        _revoked = revoked;
        Pieces = pieces;
    }

    /// <summary>The memory, in the order of the ranges that were exported. Valid until revoked or disposed; the descriptors stay the exporter's.</summary>
    public IReadOnlyList<MappableMemory> Pieces { get; }

    /// <summary>Whether the memory was revoked.</summary>
    public bool IsRevoked { get; private set; }

    /// <summary>Lets go. Idempotent.</summary>
    public void Dispose() => _buffer.Forget(this);

    internal void Revoke()
    {
        IsRevoked = true;
        _revoked();
    }
}
