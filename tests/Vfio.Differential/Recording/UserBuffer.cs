using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>Memory of the caller's, page aligned. Behind it lies a page that nobody can read.</summary>
internal sealed class UserBuffer : IDisposable
{
    private readonly MemFd _file;
    private readonly MemoryMapping _writable;
    private readonly MemoryMapping _visible;

    /// <summary>Makes zeros.</summary>
    /// <param name="name">The name in transcripts.</param>
    /// <param name="size">Length in bytes, a multiple of the page.</param>
    /// <param name="isReadOnly">Whether the caller may only read it; <see cref="Span"/> can be written all the same.</param>
    public UserBuffer(string name, int size, bool isReadOnly = false)
    {
        Name = name;
        Size = size;
        _file = new MemFd(name, (ulong)size);
        nuint mapped = (nuint)(size + Environment.SystemPageSize);

        // The last page lies behind the end of the file: an access by the kernel is EFAULT, and we make none.
        MemoryMapping.TryMap(_file.Descriptor, 0, mapped, isReadOnly ? MemoryProtection.Read : MemoryProtection.ReadWrite, out MemoryMapping? visible)
            .ThrowIfError("map a buffer");
        _visible = visible!;
        MemoryMapping.TryMap(_file.Descriptor, 0, (nuint)size, MemoryProtection.ReadWrite, out MemoryMapping? writable).ThrowIfError("map a buffer");
        _writable = writable!;
    }

    /// <summary>The name in transcripts.</summary>
    public string Name { get; }

    /// <summary>Length in bytes.</summary>
    public int Size { get; }

    /// <summary>The caller's address.</summary>
    public unsafe ulong Address => (ulong)_visible.Pointer;

    /// <summary>The contents.</summary>
    public Span<byte> Span => _writable.Span;

    public void Dispose()
    {
        _visible.Dispose();
        _writable.Dispose();
        _file.Dispose();
    }
}
