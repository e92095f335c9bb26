using System.Diagnostics;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A mapped part of a file and how many sources show some of it. Unmapped, and its budget given back, with the last of them.</summary>
/// <param name="mapping">The mapping, whole pages; owned.</param>
/// <param name="start">Where it starts in the file, in bytes.</param>
/// <param name="writable">Whether it may be written.</param>
/// <param name="budgeted">Whether it counts in the budget of <see cref="DescriptorMemory"/>.</param>
/// <remarks>Its maker is the first user. A window of a pool is counted under the pool's lock.</remarks>
internal sealed class FileWindow(MemoryMapping mapping, ulong start, bool writable, bool budgeted)
{
    private readonly ulong _length = mapping.Length;
    private MappingWriter? _writer;

    /// <summary>The pool that may show the window again, and what it knows it by; null for a source's own.</summary>
    public DescriptorMemoryPool? Pool { get; init; }

    /// <summary>See <see cref="Pool"/>.</summary>
    public FileWindowKey Key { get; init; }

    /// <summary>Sources that show it. Guarded by the pool's lock.</summary>
    public int Users { get; set; } = 1;

    /// <summary>Whether a part of the file lies inside.</summary>
    public bool Contains(ulong offset, ulong length) => offset >= start && offset - start <= _length && length <= _length - (offset - start);

    /// <summary>Makes a source for a user that was counted already.</summary>
    /// <param name="offset">Where it starts in the file, in bytes.</param>
    /// <param name="length">Length in bytes.</param>
    public MappedMemorySource Show(ulong offset, ulong length)
    {
        Debug.Assert(Contains(offset, length), "A source lies inside its window.");
        return new MappedMemorySource(mapping, offset - start, length, writable, ownsMapping: false, offset) { Window = this };
    }

    /// <summary>Copies to a part of the file that lies inside, by the kernel: EFAULT where the file has got shorter.</summary>
    /// <param name="offset">Where in the file, in bytes.</param>
    /// <param name="source">The bytes.</param>
    public Errno TryWrite(ulong offset, ReadOnlySpan<byte> source) => Writer.TryWrite((nuint)(offset - start), source);

    /// <summary>A source is gone. Outside of locks: unmapping takes a while.</summary>
    public void Leave() => (Pool is null ? this : Pool.Leave(this))?.Unmap();

    /// <summary>Unmaps it. Nobody uses it, nor can find it.</summary>
    public void Unmap()
    {
        _writer?.Dispose();
        mapping.Dispose();
        DescriptorMemory.ReturnBudget(budgeted, _length);
    }

    /// <summary>Made at the first use: of few windows is there one.</summary>
    private MappingWriter Writer => _writer ?? Interlocked.CompareExchange(ref _writer, new MappingWriter(mapping), null) ?? _writer;
}
