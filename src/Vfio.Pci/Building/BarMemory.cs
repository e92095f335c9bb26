using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>Memory in a BAR that users map: a memfd that device and user share. Stores through a mapping are not announced to the device.</summary>
/// <remarks>
/// The memory cannot be shrunk or grown by anybody (it is sealed), so that neither side can be made to fault. What it holds is the
/// peer's to change at any time: copy first, then check. The device that declares it disposes it when it is released.
/// </remarks>
public sealed class BarMemory : IDisposable
{
    private MemFd _file;
    private MemoryMapping _mapping;
    private volatile bool _isShared;

    /// <summary>Makes zeroed memory.</summary>
    /// <param name="name">A name for <c>/proc</c>.</param>
    /// <param name="size">Length in bytes, a multiple of the page size, at most 2 GiB − 1 page.</param>
    /// <exception cref="LinuxException">The system has no memory or descriptor left.</exception>
    public BarMemory(string name, ulong size)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, (ulong)int.MaxValue);
        ArgumentOutOfRangeException.ThrowIfNotEqual(size % (ulong)Environment.SystemPageSize, 0UL, nameof(size));
        Errno error = TryCreate(name, size, out MemFd? file, out MemoryMapping? mapping);
        error.ThrowIfError($"share the BAR memory '{name}'");
        _file = file!;
        _mapping = mapping!;
        Name = name;
        Size = size;
    }

    /// <summary>The memory's name.</summary>
    public string Name { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Size { get; }

    /// <summary>The memory's descriptor, owned by this object, for a user to map.</summary>
    internal FileDescriptor Descriptor
    {
        get
        {
            _isShared = true;
            return _file.Descriptor;
        }
    }

    /// <summary>The memory. Valid until <see cref="Dispose"/>.</summary>
    /// <param name="offset">Offset of the first byte.</param>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The bytes, which the user may change at any time.</returns>
    public Span<byte> Slice(int offset, int length) => _mapping.Slice((nuint)offset, length);

    /// <summary>Reads once, atomically for an aligned offset.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <returns>The value, zero-extended.</returns>
    public ulong Read(ulong offset, int width)
    {
        Span<byte> bytes = _mapping.Slice((nuint)offset, width);
        return width switch
        {
            1 => Volatile.Read(ref bytes[0]),
            2 => Volatile.Read(ref MemoryMarshal.AsRef<ushort>(bytes)),
            4 => Volatile.Read(ref MemoryMarshal.AsRef<uint>(bytes)),
            _ => Volatile.Read(ref MemoryMarshal.AsRef<ulong>(bytes)),
        };
    }

    /// <summary>Writes once, atomically for an aligned offset.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value.</param>
    public void Write(ulong offset, int width, ulong value)
    {
        Span<byte> bytes = _mapping.Slice((nuint)offset, width);
        switch (width)
        {
            case 1:
                Volatile.Write(ref bytes[0], (byte)value);
                break;
            case 2:
                Volatile.Write(ref MemoryMarshal.AsRef<ushort>(bytes), (ushort)value);
                break;
            case 4:
                Volatile.Write(ref MemoryMarshal.AsRef<uint>(bytes), (uint)value);
                break;
            default:
                Volatile.Write(ref MemoryMarshal.AsRef<ulong>(bytes), value);
                break;
        }
    }

    /// <summary>Unmaps and closes. Users keep what they mapped. Idempotent.</summary>
    public void Dispose()
    {
        _mapping.Dispose();
        _file.Dispose();
    }

    /// <summary>
    /// Makes the memory zero, and other memory than the one that users mapped, so that an earlier user cannot look at what the next
    /// one does. The device's state lock is held and its works have stopped.
    /// </summary>
    /// <returns><see cref="Errno.None"/>; otherwise the memory was only cleared.</returns>
    internal Errno Renew()
    {
        if (!_isShared)
        {
            Slice(0, (int)Size).Clear();
            return Errno.None;
        }

        Errno error = TryCreate(Name, Size, out MemFd? file, out MemoryMapping? mapping);
        if (error != Errno.None)
        {
            Slice(0, (int)Size).Clear();
            return error;
        }

        Dispose();
        _file = file!;
        _mapping = mapping!;
        _isShared = false;
        return Errno.None;
    }

    private static Errno TryCreate(string name, ulong size, out MemFd? file, out MemoryMapping? mapping)
    {
        mapping = null;
        file = null;
        try
        {
            file = new MemFd(name, size);
        }
        catch (LinuxException exception)
        {
            return exception.Errno;
        }

        Errno error = file.TryAddSeals(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal);
        if (error == Errno.None)
        {
            error = MemoryMapping.TryMap(file.Descriptor, 0, (nuint)size, MemoryProtection.ReadWrite, out mapping);
        }

        if (error != Errno.None)
        {
            file.Dispose();
            file = null;
        }

        return error;
    }
}
