using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Memory that is mapped into this process and that nobody can shrink: the fastest kind.</summary>
public sealed class MappedMemorySource : MemorySource
{
    private readonly MemoryMapping _mapping;
    private readonly ulong _start;
    private readonly ulong _hint;
    private readonly bool _ownsMapping;

    /// <summary>Shows a part of a mapping.</summary>
    /// <param name="mapping">The mapping. Its memory must stay for as long as it lives: anonymous, or a descriptor sealed against shrinking.</param>
    /// <param name="start">Where the source starts in the mapping, in bytes.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether writes are allowed.</param>
    /// <param name="ownsMapping">Whether the mapping is disposed with the source.</param>
    /// <param name="hint">See <see cref="PlacementHint"/>: the address of the first byte as its owner knows it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part lies outside the mapping.</exception>
    public MappedMemorySource(MemoryMapping mapping, ulong start, ulong length, bool writable, bool ownsMapping, ulong hint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, (ulong)mapping.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)mapping.Length - start);
        _mapping = mapping;
        _start = start;
        _hint = hint;
        _ownsMapping = ownsMapping;
        Length = length;
        IsWritable = writable;
    }

    /// <inheritdoc/>
    public override bool IsFile => Window is not null;

    /// <summary>The window of a file whose mapping this is; left when nothing shows the source any more.</summary>
    internal FileWindow? Window { get; init; }

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override bool IsWritable { get; }

    /// <inheritdoc/>
    public override string Kind => "mapped";

    /// <inheritdoc/>
    public override ulong PlacementHint(ulong offset) => _hint + offset;

    /// <inheritdoc/>
    public override unsafe Errno Read(ulong offset, Span<byte> destination)
    {
        // SAFETY: the caller keeps offset + length inside Length, which lies inside the mapping; the area's transfer count keeps the
        // source, and so the mapping, alive until the copy ended.
        new ReadOnlySpan<byte>(_mapping.Pointer + _start + offset, destination.Length).CopyTo(destination);
        return Errno.None;
    }

    /// <inheritdoc/>
    public override unsafe Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        // SAFETY: as for Read.
        source.CopyTo(new Span<byte>(_mapping.Pointer + _start + offset, source.Length));
        return Errno.None;
    }

    /// <inheritdoc/>
    public override unsafe nint GetPointer(ulong offset) => (nint)(_mapping.Pointer + _start + offset);

    /// <inheritdoc/>
    protected override void Release()
    {
        if (_ownsMapping)
        {
            _mapping.Dispose();
        }

        Window?.Leave();
    }
}
