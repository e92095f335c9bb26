using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A device's memory as a file of its own, for another device's DMA (a <c>dma-buf</c>). The exporter may take it away at any time.</summary>
/// <remarks>Its lock is a leaf: importers are told outside of it, on the thread that revokes.</remarks>
public abstract class DmaBufFile : VfioFile
{
    private readonly Lock _lock = new();
    private readonly MappableMemory[] _pieces;
    private readonly List<DmaBufMapping> _mappings = [];
    private bool _revoked;

    /// <summary>Makes the file.</summary>
    /// <param name="pieces">The memory; its descriptors stay the exporter's.</param>
    /// <param name="revoked">Whether it can't be had now.</param>
    protected DmaBufFile(MappableMemory[] pieces, bool revoked)
    {
        _pieces = pieces;
        _revoked = revoked;
        Length = (ulong)pieces.Sum(static piece => (long)piece.Length);
    }

    /// <summary>Length in bytes of all pieces together.</summary>
    public ulong Length { get; }

    /// <summary>Whether the memory cannot be had now.</summary>
    public bool IsRevoked
    {
        get
        {
            lock (_lock)
            {
                return _revoked;
            }
        }
    }

    /// <summary>Gives an importer the memory until it is revoked.</summary>
    /// <param name="revoked">Told once when the memory is revoked; on return nothing of the importer may use it. Must not block.</param>
    /// <param name="mapping">The mapping; the importer disposes it.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENODEV"/> while the memory is revoked.</returns>
    /// <remarks><c>dma_buf_map_attachment</c>.</remarks>
    public Errno TryMap(Action revoked, out DmaBufMapping? mapping)
    {
        lock (_lock)
        {
            mapping = _revoked ? null : new DmaBufMapping(this, _pieces, revoked);
            if (mapping is null)
            {
                return Errno.ENODEV;
            }

            _mappings.Add(mapping);
            return Errno.None;
        }
    }

    internal void Forget(DmaBufMapping mapping)
    {
        lock (_lock)
        {
            _mappings.Remove(mapping);
        }
    }

    /// <summary>Takes the memory away from all importers, or lets new ones have it.</summary>
    /// <param name="revoked">Whether it can't be had from now on.</param>
    /// <remarks><c>dma_buf_invalidate_mappings</c>. What was revoked does not come back for those who had it.</remarks>
    protected void SetRevoked(bool revoked)
    {
        DmaBufMapping[] gone = [];
        lock (_lock)
        {
            if (revoked && !_revoked)
            {
                gone = [.. _mappings];
                _mappings.Clear();
            }

            _revoked = revoked;
        }

        foreach (DmaBufMapping mapping in gone)
        {
            mapping.Revoke();
        }
    }
}
