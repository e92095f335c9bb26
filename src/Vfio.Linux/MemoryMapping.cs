using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// A shared mapping in this process, or anonymous memory. Disposing unmaps it, after which no pointer or span into it may be used:
/// who hands out <see cref="Pointer"/> or <see cref="Span"/> keeps the mapping alive for as long as they are in use.
/// </summary>
/// <remarks>
/// Access behind the end of a file that got shorter kills the process with SIGBUS. This type does not look at the memory itself;
/// map only files of our own, or those of a peer that are sealed with <see cref="FileSeals.Shrink"/>.
/// </remarks>
public sealed class MemoryMapping : SafeHandle
{
    private MemoryMapping()
        : base(0, ownsHandle: true)
    {
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle is 0 or -1;

    /// <summary>The length in bytes that was asked for; the kernel maps whole pages.</summary>
    public nuint Length { get; private set; }

    /// <summary>The first byte.</summary>
    /// <exception cref="ObjectDisposedException">The memory is unmapped.</exception>
    public unsafe byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return (byte*)handle;
        }
    }

    /// <summary>All of the mapping.</summary>
    /// <exception cref="InvalidOperationException">The mapping is longer than a span can be; use <see cref="Slice"/>.</exception>
    public Span<byte> Span => Length <= int.MaxValue
        ? Slice(0, (int)Length)
        : throw new InvalidOperationException($"The mapping has {Length} bytes, more than a span can hold: take slices.");

    /// <summary>Maps a part of a file, shared with everybody else who maps it. The pages are left out of core dumps.</summary>
    /// <param name="fd">The file. The mapping does not need it afterwards.</param>
    /// <param name="offset">Where in the file the mapping starts, a multiple of the page size.</param>
    /// <param name="length">Length in bytes, not zero.</param>
    /// <param name="protection">Access.</param>
    /// <param name="mapping">The mapping after success.</param>
    /// <returns>EINVAL for an offset that is not aligned or a length of zero, otherwise what <c>mmap(2)</c> answers.</returns>
    public static Errno TryMap(
        FileDescriptor fd, ulong offset, nuint length, MemoryProtection protection, out MemoryMapping? mapping)
    {
        ArgumentNullException.ThrowIfNull(fd);
        mapping = null;
        if (length == 0 || offset % (ulong)Environment.SystemPageSize != 0)
        {
            return Errno.EINVAL;
        }

        if (offset > long.MaxValue || length > long.MaxValue - offset)
        {
            return Errno.EOVERFLOW;
        }

        MemoryMapping result = new();
        nint address = Interop.Map(0, length, (int)protection, Interop.MapShared, fd, (long)offset);
        return Finish(result, address, length, dump: false, out mapping);
    }

    /// <summary>Maps private memory of zeros, or, with <see cref="MemoryProtection.None"/>, reserves address space.</summary>
    /// <param name="length">Length in bytes, not zero.</param>
    /// <param name="protection">Access.</param>
    /// <param name="mapping">The mapping after success.</param>
    /// <returns>EINVAL for a length of zero, otherwise what <c>mmap(2)</c> answers.</returns>
    public static Errno TryMapAnonymous(nuint length, MemoryProtection protection, out MemoryMapping? mapping)
    {
        mapping = null;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        MemoryMapping result = new();
        int flags = Interop.MapPrivate | Interop.MapAnonymous | (protection == MemoryProtection.None ? Interop.MapNoReserve : 0);
        nint address = Interop.MapWithoutFile(0, length, (int)protection, flags, -1, 0);
        return Finish(result, address, length, dump: true, out mapping);
    }

    /// <summary>A part of the mapping.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="length">Length in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the mapping.</exception>
    /// <exception cref="ObjectDisposedException">The memory is unmapped.</exception>
    public unsafe Span<byte> Slice(nuint offset, int length)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((nuint)length, Length - offset, nameof(length));

        // SAFETY: inside the mapping by the checks above; that it stays mapped is the caller's part of the contract.
        return new Span<byte>((byte*)handle + offset, length);
    }

    /// <summary>Gives pages back to the system (<c>madvise(2)</c>, MADV_DONTNEED): those of anonymous memory read as zeros afterwards, those of a file as the file.</summary>
    /// <param name="offset">Offset in bytes, a multiple of the page size.</param>
    /// <param name="length">Length in bytes; the pages that it touches go.</param>
    /// <returns>EINVAL for a range that is not inside the mapping or not aligned, otherwise what the kernel answers.</returns>
    /// <exception cref="ObjectDisposedException">The memory is unmapped.</exception>
    public Errno TryDiscard(nuint offset, nuint length)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        return offset > Length || length > Length - offset ? Errno.EINVAL : Interop.ToErrno(Interop.Advise(handle + (nint)offset, length, Interop.AdviceDontNeed));
    }

    /// <summary>
    /// Asks for huge pages where the system leaves that to programs (<c>madvise(2)</c>, MADV_HUGEPAGE): random access costs fewer page table walks, and memory is taken in
    /// larger pieces.
    /// </summary>
    /// <returns>EINVAL when the kernel has no transparent huge pages. Nothing else depends on it.</returns>
    /// <exception cref="ObjectDisposedException">The memory is unmapped.</exception>
    public Errno TryPreferHugePages()
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        return Interop.ToErrno(Interop.Advise(handle, Length, Interop.AdviceHugePage));
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Interop.Unmap(handle, Length) == 0;

    private static Errno Finish(MemoryMapping result, nint address, nuint length, bool dump, out MemoryMapping? mapping)
    {
        if (address == -1)
        {
            Errno error = Interop.LastError;
            result.SetHandleAsInvalid();
            mapping = null;
            return error;
        }

        result.Length = length;
        result.SetHandle(address);
        if (!dump)
        {
            // Only advice: guest memory does not belong into a core file, but nothing depends on it.
            _ = Interop.Advise(address, length, Interop.AdviceDontDump);
        }

        mapping = result;
        return Errno.None;
    }
}
