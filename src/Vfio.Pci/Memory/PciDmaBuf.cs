using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>Parts of a BAR's shared memory as a file of their own, for another device's DMA (a <c>dma-buf</c>, DEVICE_FEATURE_DMA_BUF).</summary>
/// <remarks>
/// <para>
/// While it is open it keeps the device's unregistration waiting, but only until the device is closed: then it is orphaned for good. While the
/// device is reset, has its memory decoding off, or sleeps, the memory is revoked: mappings are told to let go, and no new ones are given.
/// </para>
/// <para>Lock order: the exporting device's state lock, then this file's. Callbacks of importers run under the former and must not call the device.</para>
/// </remarks>
public sealed class PciDmaBuf : VfioFile
{
    private readonly Lock _lock = new();
    private readonly VfioPciDevice _device;
    private readonly MappableMemory[] _pieces;
    private readonly List<PciDmaBufMapping> _mappings = [];
    private bool _revoked;
    private bool _orphaned;

    internal PciDmaBuf(VfioPciDevice device, MappableMemory[] pieces, bool revoked)
    {
        _device = device;
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
                return _revoked || _orphaned;
            }
        }
    }

    /// <summary>Gives an importer the memory until it is revoked.</summary>
    /// <param name="revoked">Told once when the memory is revoked; on return nothing of the importer may use it. Must not block.</param>
    /// <param name="mapping">The mapping; the importer disposes it.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENODEV"/> while the memory is revoked.</returns>
    /// <remarks><c>dma_buf_map_attachment</c>.</remarks>
    public Errno TryMap(Action revoked, out PciDmaBufMapping? mapping)
    {
        lock (_lock)
        {
            mapping = _revoked || _orphaned ? null : new PciDmaBufMapping(this, _pieces, revoked);
            if (mapping is null)
            {
                return Errno.ENODEV;
            }

            _mappings.Add(mapping);
            return Errno.None;
        }
    }

    internal void Forget(PciDmaBufMapping mapping)
    {
        lock (_lock)
        {
            _mappings.Remove(mapping);
        }
    }

    /// <summary>Revokes or gives back. The caller holds the device's state lock.</summary>
    internal void SetRevoked(bool revoked)
    {
        PciDmaBufMapping[] gone = [];
        lock (_lock)
        {
            if (revoked && !_revoked)
            {
                gone = [.. _mappings];
                _mappings.Clear();
            }

            _revoked = revoked;
        }

        foreach (PciDmaBufMapping mapping in gone)
        {
            mapping.Revoke();
        }
    }

    /// <summary>The device was closed: the file is of no use any more and holds nothing. The caller holds the device's state lock.</summary>
    internal void Orphan()
    {
        SetRevoked(true);
        LetGo();
    }

    /// <inheritdoc/>
    protected override void Close()
    {
        _device.Forget(this);
        LetGo();
    }

    private void LetGo()
    {
        lock (_lock)
        {
            if (_orphaned)
            {
                return;
            }

            _orphaned = true;
        }

        _device.PutRegistration();
    }
}
