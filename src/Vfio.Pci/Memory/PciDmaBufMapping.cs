namespace Vfio.Pci;

/// <summary>An importer's use of a <see cref="PciDmaBuf"/>.</summary>
public sealed class PciDmaBufMapping : IDisposable
{
    private readonly PciDmaBuf _buffer;
    private readonly Action _revoked;

    internal PciDmaBufMapping(PciDmaBuf buffer, IReadOnlyList<MappableMemory> pieces, Action revoked)
    {
        _buffer = buffer;
        _revoked = revoked;
        Pieces = pieces;
    }

    /// <summary>The memory, in the order of the ranges that were exported. Valid until revoked or disposed; the descriptors stay the device's.</summary>
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
