using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio;

/// <summary>
/// The argument of an ioctl: a structure in the caller's memory, which can be read and written only by copying, and the table that
/// gives meaning to descriptor numbers in it.
/// </summary>
/// <remarks>
/// Over a span it serves callers in this process that have the structure at hand (the vfio-user server passes message bodies this
/// way); over an <see cref="IUserMemory"/> it serves any caller. Accesses outside are <see cref="Errno.EFAULT"/>.
/// </remarks>
public readonly ref struct UserArgument
{
    private readonly Span<byte> _span;
    private readonly IUserMemory? _memory;

    /// <summary>An argument that lies in a buffer of this process.</summary>
    /// <param name="buffer">The structure and what follows it.</param>
    /// <param name="files">The caller's descriptors, or null when it has none.</param>
    public UserArgument(Span<byte> buffer, FileTable? files = null)
    {
        _span = buffer;
        Files = files;
    }

    /// <summary>An argument at an address of the caller's memory.</summary>
    /// <param name="memory">The caller's memory.</param>
    /// <param name="address">The address, or the argument itself for commands that take a value.</param>
    /// <param name="files">The caller's descriptors, or null when it has none.</param>
    public UserArgument(IUserMemory? memory, ulong address, FileTable? files = null)
    {
        _memory = memory;
        Value = address;
        Files = files;
    }

    /// <summary>The argument as a number, for commands that take a value and not a pointer.</summary>
    public ulong Value { get; }

    /// <summary>The caller's memory; null when the argument lies in a buffer of this process.</summary>
    public IUserMemory? Memory => _memory;

    /// <summary>The caller's descriptors; null when it has none, and every number is then bad.</summary>
    public FileTable? Files { get; }

    /// <summary>Copies bytes from the argument.</summary>
    /// <param name="offset">Offset from the start of the argument, in bytes.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        if (_memory is not null)
        {
            ulong address = unchecked(Value + offset);
            return address < offset ? Errno.EFAULT : _memory.Read(address, destination);
        }

        if (offset > (ulong)_span.Length || (ulong)destination.Length > (ulong)_span.Length - offset)
        {
            return Errno.EFAULT;
        }

        _span.Slice((int)offset, destination.Length).CopyTo(destination);
        return Errno.None;
    }

    /// <summary>Copies bytes to the argument.</summary>
    /// <param name="offset">Offset from the start of the argument, in bytes.</param>
    /// <param name="source">The bytes.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (_memory is not null)
        {
            ulong address = unchecked(Value + offset);
            return address < offset ? Errno.EFAULT : _memory.Write(address, source);
        }

        if (offset > (ulong)_span.Length || (ulong)source.Length > (ulong)_span.Length - offset)
        {
            return Errno.EFAULT;
        }

        source.CopyTo(_span[(int)offset..]);
        return Errno.None;
    }

    /// <summary>Copies a structure from the argument.</summary>
    /// <typeparam name="T">A structure of the ABI.</typeparam>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The structure; default on failure.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno Read<T>(ulong offset, out T value)
        where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        Errno error = Read(offset, MemoryMarshal.AsBytes(new Span<T>(ref value)));
        if (error != Errno.None)
        {
            value = default;
        }

        return error;
    }

    /// <summary>Copies a structure to the argument.</summary>
    /// <typeparam name="T">A structure of the ABI.</typeparam>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The structure.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno Write<T>(ulong offset, in T value)
        where T : unmanaged
        => Write(offset, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>
    /// Copies an extensible structure whose first field is <c>argsz</c>: the first <paramref name="minimum"/> bytes must be there,
    /// the rest as far as argsz says; the missing tail is zero.
    /// </summary>
    /// <typeparam name="T">A structure of the ABI whose first field is a 32-bit argsz.</typeparam>
    /// <param name="minimum">End of the last field of the first published version, in bytes.</param>
    /// <param name="value">The structure.</param>
    /// <param name="argsz">The caller's size.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/>; <see cref="Errno.EINVAL"/> when argsz is too small (spec vfio-core §0.3).</returns>
    public Errno ReadExtensible<T>(int minimum, out T value, out uint argsz)
        where T : unmanaged
    {
        value = default;
        argsz = 0;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref value));
        Errno error = Read(0, bytes[..minimum]);
        if (error != Errno.None)
        {
            return error;
        }

        argsz = MemoryMarshal.Read<uint>(bytes);
        if (argsz < (uint)minimum)
        {
            return Errno.EINVAL;
        }

        int tail = (int)Math.Min(argsz, (uint)bytes.Length) - minimum;
        return tail == 0 ? Errno.None : Read((ulong)minimum, bytes.Slice(minimum, tail));
    }

    /// <summary>Copies a structure whose caller says how long its version of it is.</summary>
    /// <typeparam name="T">A structure of the ABI.</typeparam>
    /// <param name="size">The caller's length in bytes.</param>
    /// <param name="minimum">End of the last field of the first published version, in bytes.</param>
    /// <param name="value">The structure; a missing tail is zero.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when it is too short; <see cref="Errno.E2BIG"/> when bytes beyond what is
    /// known are not zero; <see cref="Errno.EFAULT"/>.
    /// </returns>
    /// <remarks><c>copy_struct_from_user</c>; spec iommufd §2.1.</remarks>
    public Errno ReadVersioned<T>(ulong size, int minimum, out T value)
        where T : unmanaged
    {
        value = default;
        if (size < (ulong)minimum)
        {
            return Errno.EINVAL;
        }

        ulong known = (ulong)Unsafe.SizeOf<T>();
        Span<byte> tail = stackalloc byte[64];
        for (ulong at = known; at < size;)
        {
            Span<byte> part = tail[..(int)Math.Min(size - at, (ulong)tail.Length)];
            Errno error = Read(at, part);
            if (error != Errno.None || part.ContainsAnyExcept((byte)0))
            {
                return error != Errno.None ? error : Errno.E2BIG;
            }

            at += (ulong)part.Length;
        }

        return Read(0, MemoryMarshal.AsBytes(new Span<T>(ref value))[..(int)Math.Min(size, known)]);
    }

    /// <summary>Copies a structure to a caller that says how long its version of it is: never more than that.</summary>
    /// <typeparam name="T">A structure of the ABI.</typeparam>
    /// <param name="size">The caller's length in bytes.</param>
    /// <param name="value">The structure.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno WriteVersioned<T>(ulong size, in T value)
        where T : unmanaged
        => Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value))[..(int)Math.Min(size, (ulong)Unsafe.SizeOf<T>())]);

    /// <summary>The part of the argument behind an offset, as an argument of its own.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <returns>The rest; every access is EFAULT when the offset lies outside.</returns>
    public UserArgument From(ulong offset)
        => _memory is not null
            ? new UserArgument(_memory, unchecked(Value + offset), Files)
            : new UserArgument(offset <= (ulong)_span.Length ? _span[(int)offset..] : default, Files);

    /// <summary>What a pointer inside the argument points to.</summary>
    /// <param name="pointer">An address in the caller's memory.</param>
    /// <returns>The memory there; every access is EFAULT when the argument lies in a buffer and has no addresses.</returns>
    public UserArgument At(ulong pointer)
        => _memory is not null ? new UserArgument(_memory, pointer, Files) : new UserArgument(default(Span<byte>), Files);
}
