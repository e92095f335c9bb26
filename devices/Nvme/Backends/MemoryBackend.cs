using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>Blocks in this process's memory. Pages take memory once they are written; where the system allows, huge ones, so that random access costs no walk through page tables.</summary>
public sealed class MemoryBackend : INvmeBackend
{
    private readonly MemoryMapping _memory;

    /// <summary>Makes memory of zeros.</summary>
    /// <param name="length">Length in bytes, not zero.</param>
    /// <exception cref="LinuxException">The system has not that much memory.</exception>
    public MemoryBackend(ulong length)
        : this(Map(length))
    {
    }

    private MemoryBackend(MemoryMapping memory)
    {
        _memory = memory;
        _ = _memory.TryPreferHugePages();
    }

    /// <summary>Makes memory of zeros, or null when the system has not that much.</summary>
    internal static MemoryBackend? TryCreate(ulong length)
        => MemoryMapping.TryMapAnonymous((nuint)length, MemoryProtection.ReadWrite, out MemoryMapping? memory) == Errno.None ? new MemoryBackend(memory!) : null;

    /// <inheritdoc/>
    public ulong Length => _memory.Length;

    /// <inheritdoc/>
    public bool MayWait => false;

    /// <inheritdoc/>
    public bool HasVolatileCache => false;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        _memory.Slice((nuint)offset, destination.Length).CopyTo(destination);
        return Errno.None;
    }

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(_memory.Slice((nuint)offset, source.Length));
        return Errno.None;
    }

    /// <inheritdoc/>
    public Errno Flush() => Errno.None;

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length)
    {
        // Whole pages go back to the system, which takes no time; their edges are cleared.
        ulong page = (ulong)Environment.SystemPageSize;
        ulong first = (offset + page - 1) / page * page;
        ulong last = (offset + length) / page * page;
        if (first >= last)
        {
            _memory.Slice((nuint)offset, (int)length).Clear();
            return Errno.None;
        }

        _memory.Slice((nuint)offset, (int)(first - offset)).Clear();
        _memory.Slice((nuint)last, (int)(offset + length - last)).Clear();
        return _memory.TryDiscard((nuint)first, (nuint)(last - first));
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private static MemoryMapping Map(ulong length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)long.MaxValue);
        MemoryMapping.TryMapAnonymous((nuint)length, MemoryProtection.ReadWrite, out MemoryMapping? memory).ThrowIfError($"take {length} bytes of memory for a namespace");
        return memory!;
    }
}
